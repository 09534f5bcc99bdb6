package locktest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

func TestControlsOfAFreeKeySaySo(t *testing.T) {
	f := locktest.New()
	if f.Held(key) || f.Waiting(key) != 0 || f.Lose(key) || f.Break(key) {
		t.Error("a key that nobody has asked for is held, waited for, lost or broken")
	}
}

func TestHoldEndsOnce(t *testing.T) {
	f := locktest.New()
	free := f.Hold(key)
	free()
	lock := acquire(t, f, t.Context())
	free()
	if err := lock.Context().Err(); err != nil || !f.Held(key) {
		t.Errorf("the second call ended another's hold: %v", err)
	}
	release(t, lock)
}

func TestHoldPanicsWhenTheTestIsWrong(t *testing.T) {
	f := locktest.New()
	f.Hold(key)
	for name, hold := range map[string]func(){
		"the key is held": func() { f.Hold(key) },
		"invalid option":  func() { f.Hold("another", core.TTL(-1)) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("Hold did not panic")
				}
			}()
			hold()
		})
	}
	if f.Held("another") {
		t.Error("a Hold that panicked holds its key")
	}
}

func TestAwaitOrdersEventsWithoutABubble(t *testing.T) {
	f := locktest.New()
	free := f.Hold(key)
	granted := make(chan core.Lock)
	for range 2 {
		go func() {
			lock, err := f.Acquire(t.Context(), key)
			if err != nil {
				t.Errorf("Acquire: %v", err)
			}
			granted <- lock
		}()
	}
	if err := f.AwaitWaiting(t.Context(), key, 2); err != nil {
		t.Fatal(err)
	}
	free()
	release(t, <-granted)
	release(t, <-granted)
	if err := f.AwaitFree(t.Context(), key); err != nil {
		t.Fatal(err)
	}
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := locktest.New()
		f.Hold(key)
		impatient := errors.New("impatient")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, impatient)
		defer cancel()
		if err := f.AwaitWaiting(ctx, key, 1); !errors.Is(err, impatient) {
			t.Errorf("AwaitWaiting = %v; want the context's cause", err)
		}
		if err := f.AwaitFree(ctx, key); !errors.Is(err, impatient) {
			t.Errorf("AwaitFree = %v; want the context's cause", err)
		}
	})
}
