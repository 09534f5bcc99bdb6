package core

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// nilObserver is an Observer that does not work without its fields.
type nilObserver struct{ NopObserver }

func TestANilFunctionIsRefusedAndNothingIsSent(t *testing.T) {
	told := func(context.Context, *Denial) { t.Error("told of a denial that a trial would not have made") }
	for name, opts := range map[string][]GuardOption{
		"a guard":             nil,
		"one in shadow":       {Shadow(told)},
		"one that fails open": {OnBackendError(FailOpen)},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, p := b.locker()
				runs := map[string]func() error{"Run": func() error { return guardOn(t, l, opts...).Run(t.Context(), "k", nil) }}
				if opts == nil {
					runs["Do"] = func() error { return l.Do(t.Context(), "k", nil) }
				}
				for name, run := range runs {
					d := denied(t, run(), ReasonInternal)
					if !errors.Is(d, ErrOption) || !strings.Contains(d.Error(), "function") {
						t.Errorf("%s: %v, want ErrOption about the function", name, d)
					}
				}
				if len(p.seen) != 0 || len(b.srv.Keys()) != 0 {
					t.Errorf("%d operations, keys %q", len(p.seen), b.srv.Keys())
				}
			})
		})
	}
}

func TestAGuardThatNewGuardHasNotMadeIsRefused(t *testing.T) {
	d := denied(t, new(Guard).Run(t.Context(), "k", func(context.Context) error { t.Error("it ran"); return nil }), ReasonInternal)
	if !errors.Is(d, ErrOption) || !strings.Contains(d.Error(), "NewGuard") {
		t.Error(d)
	}
}

func TestNewGuardFindsALockerThatIsNil(t *testing.T) {
	for name, l := range map[string]Locker{
		"nil":                          nil,
		"a nil *RedisLocker":           (*RedisLocker)(nil),
		"a nil Locker of another type": lockerFunc(nil),
		"a nil pointer":                (*observedLocker)(nil),
		"an observed nil":              Observe(nil, NopObserver{}),
		"an observed nil *RedisLocker": Observe((*RedisLocker)(nil), NopObserver{}),
	} {
		if g, err := NewGuard(l); g != nil || !errors.Is(err, ErrOption) {
			t.Errorf("%s: %v, %v; want ErrOption", name, g, err)
		}
	}
}

func TestANilPointerAsAnObserverIsFoundAtTheWiring(t *testing.T) {
	const says = "nil *core.nilObserver"
	if _, err := New(anyClient(t), WithObserver((*nilObserver)(nil))); !errors.Is(err, ErrOption) || !strings.Contains(err.Error(), says) {
		t.Errorf("WithObserver: %v", err)
	}
	defer func() {
		if text, _ := recover().(string); !strings.Contains(text, says) {
			t.Errorf("Observe: %q", text)
		}
	}()
	Observe(failing(ErrHeld), (*nilObserver)(nil))
}
