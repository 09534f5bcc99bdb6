package httpmw_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

func TestEveryEndOfALeaseIsAnsweredAsLost(t *testing.T) {
	for name, row := range map[string]struct {
		end  func(*locktest.Fake)
		opts []httpmw.Option
		want error
	}{
		"lost":     {end: func(f *locktest.Fake) { f.Lose(key42) }, want: core.ErrLost},
		"broken":   {end: func(f *locktest.Fake) { f.Break(key42) }, want: core.ErrBroken},
		"max hold": {end: func(*locktest.Fake) {}, opts: []httpmw.Option{httpmw.MaxHold(time.Millisecond)}, want: core.ErrMaxHold},
	} {
		t.Run(name, func(t *testing.T) {
			fake := locktest.New()
			cause := make(chan error, 1)
			lock := mustNew(t, fake, httpmw.Key(template), row.opts...)
			s := serve(t, orders(lock(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				row.end(fake)
				<-r.Context().Done()
				cause <- context.Cause(r.Context())
			}))))
			status, body := put(t, s, "/orders/42")
			equal(t, "status", status, http.StatusInternalServerError)
			equal(t, "reason", reason(t, body), core.ReasonLost)
			if err := receive(t, cause); !errors.Is(err, row.want) {
				t.Errorf("the handler's context was cancelled because of %v, want %v", err, row.want)
			}
		})
	}
}

func TestWriteDenialOutsideAServer(t *testing.T) {
	r := httptest.NewRequest(http.MethodPut, "/", nil)

	w := httptest.NewRecorder()
	httpmw.WriteDenial(w, r, &core.Denial{Reason: core.ReasonCanceled})
	if w.Body.Len() > 0 || len(w.Header()) > 0 {
		t.Errorf("a canceled request was answered: %v %s", w.Header(), w.Body)
	}

	for name, d := range map[string]*core.Denial{"nil": nil, "unknown": {Reason: "LOCK_OF_TOMORROW"}} {
		w = httptest.NewRecorder()
		httpmw.WriteDenial(w, r, d)
		equal(t, name+": status", w.Code, http.StatusInternalServerError)
		equal(t, name+": instance without a request ID", decode(t, w.Body.String()).Instance, "")
	}
}

func reason(t *testing.T, body string) core.Reason {
	t.Helper()
	return decode(t, body).Reason
}

type details struct {
	Title, Detail string
	Instance      string
	Reason        core.Reason
	RetryAfterMS  int64 `json:"retry_after_ms"`
}

func decode(t *testing.T, body string) (d details) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), &d); err != nil {
		t.Fatalf("%v: %q", err, body)
	}
	return d
}
