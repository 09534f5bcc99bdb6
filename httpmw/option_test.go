package httpmw_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/keys"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

func TestTheResponseWaitsForTheReleaseOnlyWhereItShould(t *testing.T) {
	for name, row := range map[string]struct {
		opts []httpmw.Option
		want bool
	}{
		"a route that waits":    {nil, false},
		"a route without":       {[]httpmw.Option{httpmw.Wait(0)}, true},
		"told to":               {[]httpmw.Option{httpmw.AwaitRelease(true)}, true},
		"without, told not to":  {[]httpmw.Option{httpmw.Wait(0), httpmw.AwaitRelease(false)}, false},
		"a request without":     {[]httpmw.Option{httpmw.WaitFunc(func(*http.Request) time.Duration { return 0 })}, true},
		"the last option rules": {[]httpmw.Option{httpmw.Wait(0), httpmw.Wait(time.Second)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			awaited := make(chan bool, 1)
			l := releaseSpy{locktest.New(), func(ctx context.Context) { awaited <- ctx.Err() == nil }}
			s := serve(t, orders(mustNew(t, l, httpmw.Key(template), row.opts...)(http.HandlerFunc(ok))))
			put(t, s, "/orders/42")
			equal(t, "awaited", receive(t, awaited), row.want)
		})
	}
}

type releaseSpy struct {
	core.Locker
	released func(context.Context)
}

func (s releaseSpy) Acquire(ctx context.Context, key string, opts ...core.AcquireOption) (core.Lock, error) {
	l, err := s.Locker.Acquire(ctx, key, opts...)
	return releaseSpyLock{l, s.released}, err
}

type releaseSpyLock struct {
	core.Lock
	released func(context.Context)
}

func (s releaseSpyLock) Release(ctx context.Context) error {
	s.released(ctx)
	return s.Lock.Release(ctx)
}

// settingsSpy tells what an acquisition is asked with.
type settingsSpy struct {
	core.Locker
	asked chan core.Settings
}

func (s settingsSpy) Acquire(ctx context.Context, key string, opts ...core.AcquireOption) (core.Lock, error) {
	settings, err := core.DefaultSettings().With(opts...)
	if err != nil {
		return nil, err
	}
	s.asked <- settings
	return s.Locker.Acquire(ctx, key, opts...)
}

func TestTheTermsOfARoute(t *testing.T) {
	for name, row := range map[string]struct {
		opts []httpmw.Option
		want core.Settings
	}{
		"by default": {nil, core.Settings{
			TTL: 10 * time.Second, Wait: 5 * time.Second, MaxWaiters: 100, MaxHold: 5 * time.Minute, Name: pattern,
		}},
		"chosen": {
			[]httpmw.Option{
				httpmw.TTL(time.Minute), httpmw.Wait(time.Hour), nil, httpmw.MaxWaiters(7), httpmw.MaxHold(0), httpmw.Name("pay"),
			},
			core.Settings{TTL: time.Minute, Wait: time.Hour, MaxWaiters: 7, Name: "pay"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			spy := settingsSpy{locktest.New(), make(chan core.Settings, 1)}
			put(t, serve(t, orders(mustNew(t, spy, httpmw.Key(template), row.opts...)(http.HandlerFunc(ok)))), "/orders/42")
			got := receive(t, spy.asked)
			got.Meta = core.Meta{}
			equal(t, "settings", got, row.want)
		})
	}
}

func TestNewListsEverythingThatIsWrong(t *testing.T) {
	middleware, err := httpmw.New(nil, httpmw.Key("x{cookies.id}{header.Host}"),
		httpmw.TTL(-1), httpmw.Wait(-1), httpmw.MaxWaiters(-1), httpmw.MaxHold(-1),
		httpmw.Name(""), httpmw.OnMissing(nil), httpmw.OnLossAfterWrite(9), httpmw.OnDeny(nil), httpmw.OnBackendError(9),
		httpmw.OnMissing(httpmw.Fallback("")), httpmw.OnMissing(httpmw.FallbackFunc(nil)), httpmw.Only(nil), httpmw.Except(nil),
		httpmw.MaxBuffered(0), httpmw.WaitFunc(nil), httpmw.MaxWaitersFunc(nil), httpmw.TTLFunc(nil), httpmw.MaxHoldFunc(nil))
	if middleware != nil {
		t.Error("a middleware beside an error")
	}
	// Locker, two placeholders, and eighteen options.
	if n := leaves(err); n != 21 {
		t.Errorf("%d faults, want 21:\n%v", n, err)
	}
	if se, is := errors.AsType[*keys.SyntaxError](err); !is || se.Offset != 1 || !errors.Is(err, core.ErrOption) {
		t.Errorf("the error does not match what it should: %v", err)
	}
	if _, err := httpmw.New(locktest.New(), nil); !errors.Is(err, core.ErrOption) {
		t.Errorf("without a key source: %v", err)
	}
}

// leaves counts the core.ErrOption in err's tree.
func leaves(err error) (n int) {
	if joined, is := err.(interface{ Unwrap() []error }); is {
		for _, e := range joined.Unwrap() {
			n += leaves(e)
		}
		return n
	}
	if inner := errors.Unwrap(err); inner != nil {
		return leaves(inner)
	}
	if err == core.ErrOption {
		return 1
	}
	return 0
}

func TestANilHandlerPanicsAtTheWiring(t *testing.T) {
	for name, middleware := range map[string]func(http.Handler) http.Handler{
		"New": mustNew(t, locktest.New(), httpmw.Key(template)), "RequestID": httpmw.RequestID(nil),
	} {
		for _, h := range []http.Handler{nil, http.HandlerFunc(nil)} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s took a nil handler (%T)", name, h)
					}
				}()
				middleware(h)
			}()
		}
	}
}
