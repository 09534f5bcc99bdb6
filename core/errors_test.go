package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// sentinels are all that can be matched, and their names in telemetry.
var sentinels = map[string]error{
	"held":          ErrHeld,
	"timeout":       ErrWaitTimeout,
	"queue_full":    ErrQueueFull,
	"backend":       ErrBackend,
	"closed":        ErrClosed,
	"key":           ErrKey,
	"option":        ErrOption,
	"self_deadlock": ErrSelfDeadlock,
	"lost":          ErrLost,
	"broken":        ErrBroken,
	"max_hold":      ErrMaxHold,
	"released":      ErrReleased,
	"not_held":      ErrNotHeld,
	"lease_changed": ErrLeaseChanged,
	"not_lease":     ErrNotLease,
	"stale":         ErrStale,
	"key_missing":   ErrKeyMissing,
	"client":        ErrUnsupportedClient,
	"unfit":         ErrUnfit,
}

func TestEachSentinelMatchesItselfAndNoOther(t *testing.T) {
	for a, ea := range sentinels {
		if !strings.HasPrefix(ea.Error(), "core: ") {
			t.Errorf("%s: %q does not name its package", a, ea)
		}
		for b, eb := range sentinels {
			if errors.Is(fmt.Errorf("wrapped: %w", ea), eb) != (a == b) {
				t.Errorf("%s and %s", a, b)
			}
		}
	}
}

// named is another package's error with a name.
type named struct{ error }

func (named) ErrorType() string { return "of another" }

func TestErrorTypeNamesErrorsWithFewWords(t *testing.T) {
	for want, err := range sentinels {
		for how, e := range map[string]error{
			"plain":              err,
			"wrapped":            fmt.Errorf("order 1: %w", err),
			"joined":             errors.Join(io.EOF, err),
			"of an acquisition":  &AcquireError{Key: "k", Err: err},
			"with its cause":     &AcquireError{Key: "k", Err: err, Cause: context.DeadlineExceeded},
			"of a denial":        &Denial{Cause: err},
			"of an acq.s denial": Denied(&AcquireError{Key: "k", Err: err, Cause: ErrReleased}),
		} {
			if got := ErrorType(e); got != want {
				t.Errorf("%s %s: %q", want, how, got)
			}
		}
	}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"none":                       {nil, ""},
		"canceled":                   {context.Canceled, "canceled"},
		"deadline":                   {fmt.Errorf("x: %w", context.DeadlineExceeded), "deadline"},
		"unknown":                    {io.EOF, "other"},
		"of another package":         {fmt.Errorf("x: %w", named{io.EOF}), "of another"},
		"acquisition, canceled":      {&AcquireError{Key: "k", Err: context.Canceled, Cause: ErrLost}, "canceled"},
		"acquisition, deadline":      {&AcquireError{Key: "k", Err: context.DeadlineExceeded}, "deadline"},
		"denial without a cause":     {&Denial{Reason: ReasonHeld}, "other"},
		"loss beside the function's": {&Denial{Reason: ReasonLost, Cause: errors.Join(ErrLost, ErrHeld)}, "lost"},
	} {
		if got := ErrorType(c.err); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestAnAcquireErrorMatchesWhatItIsAndItsCause(t *testing.T) {
	cause := fmt.Errorf("read: %w", io.ErrUnexpectedEOF)
	err := error(&AcquireError{Key: "k", Err: ErrBackend, Cause: cause, Info: Info{Waited: time.Second}})
	err = fmt.Errorf("order 1: %w", err)
	for _, target := range []error{ErrBackend, cause, io.ErrUnexpectedEOF} {
		if !errors.Is(err, target) {
			t.Errorf("does not match %v", target)
		}
	}
	if errors.Is(err, ErrHeld) || errors.Is(err, context.Canceled) {
		t.Error("matches what it is not")
	}
	if ae, ok := errors.AsType[*AcquireError](err); !ok || ae.Key != "k" || ae.Info.Waited != time.Second {
		t.Errorf("as an AcquireError: %+v, %v", ae, ok)
	}
	if got := (&AcquireError{Err: ErrHeld}).Unwrap(); len(got) != 1 || got[0] != ErrHeld {
		t.Errorf("without a cause it unwraps to %v", got)
	}
}

func TestAnAcquireErrorNamesTheKeyAndTheCauseOnce(t *testing.T) {
	for want, err := range map[string]*AcquireError{
		`core: the key is held by another request (key "a\nb")`: {Key: "a\nb", Err: ErrHeld},
		`core: the lock backend is unavailable (key "k"): EOF`:  {Key: "k", Err: ErrBackend, Cause: io.EOF},
		`context canceled (key "k")`:                            {Key: "k", Err: context.Canceled, Cause: context.Canceled},
		`context canceled (key "k"): core: the lock was lost`:   {Key: "k", Err: context.Canceled, Cause: ErrLost},
	} {
		if got := err.Error(); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

// Whoever waits is told why the context ended, too.
func TestTheCauseOfTheCallersContextIsMatched(t *testing.T) {
	why := errors.New("the client went away")
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		defer free(t, get(t, l, "k"))
		for name, derive := range map[string]func() (context.Context, context.CancelFunc){
			"before": func() (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancelCause(t.Context())
				cancel(why)
				return ctx, func() {}
			},
			"while waiting": func() (context.Context, context.CancelFunc) {
				return context.WithTimeoutCause(t.Context(), time.Second, why)
			},
		} {
			ctx, cancel := derive()
			_, err := l.Acquire(ctx, "k")
			cancel()
			if !errors.Is(err, ctx.Err()) || !errors.Is(err, why) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
