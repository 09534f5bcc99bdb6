package httpmw_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

func TestAPresetChangesTheStatusOfContentionAndOfNothingElse(t *testing.T) {
	contention := map[core.Reason]error{
		core.ReasonHeld: core.ErrHeld, core.ReasonWaitTimeout: core.ErrWaitTimeout, core.ReasonQueueFull: core.ErrQueueFull,
	}
	others := map[core.Reason]error{
		core.ReasonBackend: core.ErrBackend, core.ReasonShuttingDown: core.ErrClosed, core.ReasonLost: core.ErrLost,
		core.ReasonStale: core.ErrStale, core.ReasonKeyInvalid: core.ErrKey, core.ReasonSelfDeadlock: core.ErrSelfDeadlock,
	}
	answer := func(err error, opts ...httpmw.Option) int {
		w := httptest.NewRecorder()
		lock := mustNew(t, failing{&core.AcquireError{Err: err}}, httpmw.Key(template), opts...)
		lock(http.HandlerFunc(ok)).ServeHTTP(w, idRequest())
		return w.Code
	}
	for reason, err := range others {
		usual := answer(err)
		equal(t, string(reason)+", TransparentRetry", answer(err, httpmw.TransparentRetry()), usual)
		equal(t, string(reason)+", Status423", answer(err, httpmw.Status423()), usual)
	}
	for reason, err := range contention {
		equal(t, string(reason)+", TransparentRetry", answer(err, httpmw.TransparentRetry()), http.StatusServiceUnavailable)
	}
	equal(t, "held, Status423", answer(core.ErrHeld, httpmw.Status423()), http.StatusLocked)
	equal(t, "waited, Status423", answer(core.ErrWaitTimeout, httpmw.Status423()), http.StatusLocked)
	equal(t, "queue full, Status423", answer(core.ErrQueueFull, httpmw.Status423()), http.StatusTooManyRequests)
}

func TestOptionsOfBehaviourThatContradictOrAreUnknownAreRefused(t *testing.T) {
	for name, opts := range map[string][]httpmw.Option{
		"two presets":     {httpmw.TransparentRetry(), httpmw.Status423()},
		"unknown hijack":  {httpmw.OnHijack(httpmw.Detach + 1)},
		"unknown on loss": {httpmw.OnLossAfterWrite(httpmw.AbortResponse + 1)},
	} {
		if _, err := httpmw.New(locktest.New(), httpmw.Key(template), opts...); !errors.Is(err, core.ErrOption) {
			t.Errorf("%s: %v", name, err)
		}
	}
	mustNew(t, locktest.New(), httpmw.Key(template), httpmw.Status423(), httpmw.Status423()) // said twice
}
