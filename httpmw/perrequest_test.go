package httpmw_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

func TestTheTermsOfARequest(t *testing.T) {
	batch := func(r *http.Request) bool { return r.Header.Get("X-Client") == "batch" }
	durations := func(batched, others time.Duration) func(*http.Request) time.Duration {
		return func(r *http.Request) time.Duration {
			if batch(r) {
				return batched
			}
			return others
		}
	}
	opts := []httpmw.Option{
		httpmw.WaitFunc(durations(time.Hour, time.Second)),
		httpmw.TTLFunc(durations(time.Minute, 5*time.Second)),
		httpmw.MaxHoldFunc(durations(0, 10*time.Second)),
		httpmw.MaxWaitersFunc(func(r *http.Request) int {
			if batch(r) {
				return 1
			}
			return 50
		}),
	}
	fixed := []httpmw.Option{httpmw.Wait(2), httpmw.TTL(time.Second), httpmw.MaxHold(3), httpmw.MaxWaiters(4)}
	for name, row := range map[string]struct {
		opts   []httpmw.Option
		client string
		want   core.Settings
	}{
		"of a batch":          {opts, "batch", core.Settings{Wait: time.Hour, TTL: time.Minute, MaxWaiters: 1}},
		"of a browser":        {opts, "browser", core.Settings{Wait: time.Second, TTL: 5 * time.Second, MaxHold: 10 * time.Second, MaxWaiters: 50}},
		"the functions last":  {append(fixed, opts...), "batch", core.Settings{Wait: time.Hour, TTL: time.Minute, MaxWaiters: 1}},
		"the functions first": {append(opts, fixed...), "batch", core.Settings{Wait: 2, TTL: time.Second, MaxHold: 3, MaxWaiters: 4}},
	} {
		spy := settingsSpy{locktest.New(), make(chan core.Settings, 1)}
		r := httptest.NewRequest(http.MethodPut, "/orders/42", nil)
		r.Header.Set("X-Client", row.client)
		orders(mustNew(t, spy, httpmw.Key(template), row.opts...)(http.HandlerFunc(ok))).ServeHTTP(httptest.NewRecorder(), r)
		got := receive(t, spy.asked)
		got.Meta, got.Name = core.Meta{}, ""
		equal(t, name, got, row.want)
	}
}

func TestTermsThatNoRouteCouldHaveAreAFaultInTheProgram(t *testing.T) {
	duration := func(d time.Duration) func(*http.Request) time.Duration {
		return func(*http.Request) time.Duration { return d }
	}
	for name, opt := range map[string]httpmw.Option{
		"a negative wait":      httpmw.WaitFunc(duration(-1)),
		"too long a wait":      httpmw.WaitFunc(duration(core.MaxWait + 1)),
		"no TTL":               httpmw.TTLFunc(duration(0)),
		"too long a TTL":       httpmw.TTLFunc(duration(core.MaxTTL + 1)),
		"a negative hold":      httpmw.MaxHoldFunc(duration(-1)), // not: no bound
		"less than no waiters": httpmw.MaxWaitersFunc(func(*http.Request) int { return -1 }),
	} {
		key, reason := keyOf(t, httptest.NewRequest(http.MethodPut, "/orders/42", nil), httpmw.Key(template), opt)
		equal(t, name, key+string(reason), "LOCK_INTERNAL")
	}
}

// Over a real socket: what a request asks for is also what it gets.
func TestARequestThatMayNotWaitIsDeniedWhileAnotherWaits(t *testing.T) {
	fake := locktest.New()
	release := fake.Hold(key42)
	s := serve(t, orders(mustNew(t, fake, httpmw.Key(template), httpmw.WaitFunc(func(r *http.Request) time.Duration {
		if r.URL.Query().Has("batch") {
			return patience
		}
		return 0
	}))(http.HandlerFunc(ok))))
	waited := make(chan int, 1)
	go func() {
		status, _, _ := send(s, http.MethodPut, "/orders/42?batch", nil)
		waited <- status
	}()
	if err := fake.AwaitWaiting(soon(t), key42, 1); err != nil {
		t.Fatal(err)
	}
	status, _ := put(t, s, "/orders/42")
	equal(t, "a browser", status, http.StatusConflict)
	release()
	equal(t, "a batch", receive(t, waited), http.StatusOK)
}
