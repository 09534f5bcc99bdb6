package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

func TestReasonsByError(t *testing.T) {
	acquiring := func(err, cause error) error { return &AcquireError{Key: "k", Err: err, Cause: cause} }
	for name, c := range map[string]struct {
		err  error
		want Reason
	}{
		"held":                {ErrHeld, "LOCK_HELD"},
		"wait timeout":        {ErrWaitTimeout, "LOCK_WAIT_TIMEOUT"},
		"queue full":          {ErrQueueFull, "LOCK_QUEUE_FULL"},
		"deadline":            {acquiring(context.DeadlineExceeded, nil), "LOCK_DEADLINE_EXCEEDED"},
		"canceled":            {acquiring(context.Canceled, nil), "LOCK_CANCELED"},
		"key missing":         {ErrKeyMissing, "LOCK_KEY_MISSING"},
		"key":                 {ErrKey, "LOCK_KEY_INVALID"},
		"backend":             {ErrBackend, "LOCK_BACKEND_UNAVAILABLE"},
		"closed":              {ErrClosed, "LOCK_SHUTTING_DOWN"},
		"self-deadlock":       {ErrSelfDeadlock, "LOCK_SELF_DEADLOCK"},
		"lost":                {ErrLost, "LOCK_LOST"},
		"broken":              {ErrBroken, "LOCK_LOST"},
		"max hold":            {ErrMaxHold, "LOCK_LOST"},
		"stale":               {ErrStale, "LOCK_STALE"},
		"option":              {ErrOption, "LOCK_INTERNAL"},
		"cut off":             {errors.Join(ErrLost, ErrClosed), "LOCK_SHUTTING_DOWN"},
		"wrapped":             {fmt.Errorf("order 1: %w", ErrHeld), "LOCK_HELD"},
		"of another's Locker": {acquiring(io.EOF, nil), "LOCK_INTERNAL"},

		// The client's timeout is not the caller's deadline.
		"backend by timeout": {acquiring(ErrBackend, context.DeadlineExceeded), "LOCK_BACKEND_UNAVAILABLE"},
		// Why the caller's context ended is not why this lock was denied.
		"canceled by a loss":  {acquiring(context.Canceled, ErrLost), "LOCK_CANCELED"},
		"canceled by a close": {acquiring(context.Canceled, ErrClosed), "LOCK_CANCELED"},
		"deadline of another": {acquiring(context.DeadlineExceeded, ErrHeld), "LOCK_DEADLINE_EXCEEDED"},
		"wrapped acquisition": {fmt.Errorf("order 1: %w", acquiring(context.Canceled, ErrMaxHold)), "LOCK_CANCELED"},
	} {
		t.Run(name, func(t *testing.T) {
			d := Denied(c.err)
			if d == nil || d.Reason != c.want {
				t.Fatalf("%v, want %s", d, c.want)
			}
			if d.Cause != c.err || !errors.Is(d, c.err) {
				t.Errorf("cause %v", d.Cause)
			}
		})
	}
}

func TestWhatIsNoDenial(t *testing.T) {
	for name, err := range map[string]error{
		"no error":                 nil,
		"a function's own":         errors.New("card declined"),
		"of a library":             fmt.Errorf("order 1: %w", io.ErrUnexpectedEOF),
		"its deadline":             fmt.Errorf("bank: %w", context.DeadlineExceeded),
		"its context":              context.Canceled,
		"several":                  errors.Join(io.EOF, context.Canceled),
		"a second release":         ErrReleased,
		"an operator's":            ErrNotHeld,
		"a client that is refused": ErrUnsupportedClient,
		"a server that is unfit":   ErrUnfit,
	} {
		if d := Denied(err); d != nil {
			t.Errorf("%s: %v", name, d)
		}
	}
}

// return Denied(err) is what one writes, and err is nil mostly.
func TestANilDenialInAnErrorIsNone(t *testing.T) {
	for name, err := range map[string]error{
		"of Denied": Denied(nil), "of an acquisition": (*AcquireError)(nil), "wrapped": fmt.Errorf("%w", (*Denial)(nil)),
	} {
		if d := Denied(err); d != nil || errors.Is(err, ErrHeld) {
			t.Errorf("%s: %v", name, d)
		}
	}
	if d := Denied(errors.Join((*Denial)(nil), ErrHeld)); d == nil || d.Reason != ReasonHeld {
		t.Errorf("%v beside another error", d)
	}
	if d := (*Denial)(nil); d.Error() == "" || d.ErrorType() != "other" {
		t.Errorf("%v, %q", d, d.ErrorType())
	}
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		if err := l.Do(t.Context(), "k", func(context.Context) error { return Denied(nil) }); err != nil {
			t.Errorf("Do: %v", err)
		}
	})
}

func TestAFunctionsOwnErrorIsNoDenial(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		for name, own := range map[string]error{
			"its own":       errors.New("card declined"),
			"a deadline's":  context.DeadlineExceeded,
			"a wrapped end": fmt.Errorf("bank: %w", context.Canceled),
			"none":          nil,
		} {
			err := l.Do(t.Context(), "k", func(context.Context) error { return own })
			if err != own || Denied(err) != nil {
				t.Errorf("%s: Do returns %v, which is denied as %v", name, err, Denied(err))
			}
		}
	})
}

func TestEveryFailedAcquisitionOfAGuardIsADenial(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want Reason
	}{
		"an error of another Locker": {io.EOF, ReasonInternal},
		"its bare context's":         {context.Canceled, ReasonCanceled},
		"its bare deadline":          {fmt.Errorf("etcd: %w", context.DeadlineExceeded), ReasonDeadline},
	} {
		ran := false
		err := guardOn(t, failing(c.err)).Run(t.Context(), "k", func(context.Context) error { ran = true; return nil })
		if d := denied(t, err, c.want); ran || d.Reason.Ran() || !errors.Is(d, c.err) {
			t.Errorf("%s: %v, ran: %t", name, d, ran)
		}
	}
}

func TestWhichReasonsSayThatTheFunctionRan(t *testing.T) {
	ran := map[Reason]bool{ReasonLost: true, ReasonStale: true}
	for _, r := range []Reason{
		ReasonHeld, ReasonWaitTimeout, ReasonQueueFull, ReasonDeadline, ReasonCanceled, ReasonKeyMissing, ReasonKeyInvalid,
		ReasonBackend, ReasonShuttingDown, ReasonSelfDeadlock, ReasonLost, ReasonStale, ReasonInternal,
	} {
		if r.Ran() != ran[r] {
			t.Errorf("%s: %t", r, r.Ran())
		}
	}
}

func TestADenialIsReturnedAsItIs(t *testing.T) {
	d := &Denial{Reason: ReasonHeld, RetryAfter: time.Second, Cause: ErrHeld}
	for name, err := range map[string]error{"plain": d, "wrapped": fmt.Errorf("order 1: %w", d), "joined": errors.Join(ErrStale, d)} {
		if got := Denied(err); got != d {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestADenialTakesOverWhatTheAcquisitionKnows(t *testing.T) {
	blocker, predecessor := &Holder{Meta: Meta{Service: "a"}}, &Holder{Meta: Meta{Service: "b"}}
	for name, c := range map[string]struct {
		info Info
		want *Holder
	}{
		"nobody":          {Info{}, nil},
		"the blocker":     {Info{Blocker: blocker}, blocker},
		"the predecessor": {Info{Blocker: blocker, Predecessor: predecessor}, predecessor},
	} {
		c.info.Waited, c.info.RetryAfter = time.Second, time.Minute
		d := Denied(fmt.Errorf("order 1: %w", &AcquireError{Key: "k", Err: ErrHeld, Info: c.info}))
		if d.Holder != c.want || d.Waited != time.Second || d.RetryAfter != time.Minute {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func TestADenialSaysItsReasonAndItsCause(t *testing.T) {
	if got, want := (&Denial{Reason: ReasonHeld}).Error(), "core: denied: LOCK_HELD"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := (&Denial{Reason: ReasonBackend, Cause: io.EOF}).Error(), "core: denied: LOCK_BACKEND_UNAVAILABLE: EOF"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if (&Denial{}).Unwrap() != nil || (&Denial{Cause: io.EOF}).Unwrap() != io.EOF {
		t.Error("Unwrap is not the cause")
	}
}
