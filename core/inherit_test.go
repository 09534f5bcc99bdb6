package core

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

func TestAWaiterThatLeavesWhileOthersWaitKeepsTheirPlace(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		other, _ := b.locker()
		k := get(t, other, "k")
		warm(t, l)
		ctx, cancel := context.WithCancel(t.Context())
		first := begin(ctx, l, "k", WithMeta(Meta{RequestID: "first"}))
		synctest.Wait()
		e := standing(l, "k")
		second := begin(t.Context(), l, "k", WithMeta(Meta{RequestID: "second"}))
		synctest.Wait()
		cancel()
		synctest.Wait()
		if !errors.Is(first.err, context.Canceled) || standing(l, "k") != e || p.count("cancel") != 0 {
			t.Fatalf("first %+v, %d cancels", first, p.count("cancel"))
		}
		free(t, k)
		synctest.Wait()
		if !second.done() || second.err != nil {
			t.Fatalf("second: %+v", second)
		}
		// The lease soon names the one who has it.
		elapse(10 * time.Millisecond)
		if h := decodeHolder(backend.Entry(b.lease("k")).Meta()); h == nil || h.RequestID != "second" {
			t.Errorf("the lease names %+v", h)
		}
		free(t, second.lock)
	})
}

// The terms of an entry are fixed: one with another TTL needs its own.
func TestAWaiterWithOtherTermsGetsItsOwnEntry(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		other, _ := b.locker()
		k := get(t, other, "k")
		warm(t, l)
		ctx, cancel := context.WithCancel(t.Context())
		begin(ctx, l, "k", TTL(time.Minute))
		synctest.Wait()
		e := standing(l, "k")
		second := begin(t.Context(), l, "k", TTL(2*time.Second))
		synctest.Wait()
		cancel()
		synctest.Wait()
		if now := standing(l, "k"); now == nil || now == e || now.TTL != 2*time.Second {
			t.Fatalf("entry %+v", now)
		}
		free(t, k)
		synctest.Wait()
		if !second.done() || second.err != nil || second.lock.Remaining() > 2*time.Second {
			t.Fatalf("second: %+v", second)
		}
		free(t, second.lock)
	})
}

func TestAnExpectedPlaceInLineIsNotTakenByOneWhoDoesNotWait(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		other, _ := b.locker()
		k := get(t, other, "k")
		p.via(func(op operation, call func() error) error {
			time.Sleep(100 * time.Millisecond)
			return call()
		})
		ctx, cancel := context.WithCancel(t.Context())
		impatient := begin(ctx, l, "k", Wait(0))
		synctest.Wait()
		patient := begin(t.Context(), l, "k", Wait(10*time.Second))
		synctest.Wait()
		cancel() // the entry on the way says "do not wait"
		elapse(time.Second)
		if !errors.Is(impatient.err, context.Canceled) || patient.done() {
			t.Fatalf("impatient %v, patient %+v", impatient.err, patient)
		}
		free(t, k)
		elapse(time.Second)
		if !patient.done() || patient.err != nil {
			t.Fatalf("patient: %+v", patient)
		}
		free(t, patient.lock)
	})
}
