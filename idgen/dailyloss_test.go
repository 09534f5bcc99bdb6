package idgen

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestALostCounterIsRefusedOnceAndThenLiftedAboveWhatWasSeen(t *testing.T) {
	clock := newClock(noon)
	m, rdb := newRedis(t, noon)
	q := newDaily(t, rdb, Clock(clock.now), Segment(10, 10))
	var last uint32
	for range 200 {
		last = mustNext(t, q).Counter
		q.settle()
	}
	m.FlushAll()
	var lost error
	for range 20 { // what is at hand is still good
		id, err := q.Next(t.Context())
		q.settle()
		if err != nil {
			lost = err
			break
		}
		p, _ := q.Split(id)
		last = p.Counter
	}
	if !errors.Is(lost, ErrSequenceRegressed) {
		t.Fatalf("Redis lost the counter, and nobody was told: %v", lost)
	}
	if got := mustNext(t, q); got.Counter <= last {
		t.Errorf("after the loss: %+v, want more than %d", got, last)
	}
	// Another process profits from the lifting.
	if got := mustNext(t, newDaily(t, rdb, Clock(clock.now))); got.Counter <= last {
		t.Errorf("another process after the lifting: %+v, want more than %d", got, last)
	}
}

func TestALossNoticedAheadOfTimeIsToldToTheNextCallerInNeed(t *testing.T) {
	m, rdb := newRedis(t, noon)
	q := newDaily(t, rdb, Clock(newClock(noon).now), Segment(10, 10))
	mustNext(t, q)
	m.FlushAll()
	for want := uint32(2); want <= 10; want++ { // at 5 the fetch ahead of time is made
		if got := mustNext(t, q); got.Counter != want {
			t.Fatalf("got %+v, want %d", got, want)
		}
		q.settle()
	}
	before := rdb.trips.Load()
	if _, err := q.Next(t.Context()); !errors.Is(err, ErrSequenceRegressed) || rdb.trips.Load() != before {
		t.Errorf("got %v after %d trips, want ErrSequenceRegressed at once", err, rdb.trips.Load()-before)
	}
	if got := mustNext(t, q); got.Counter <= 10 {
		t.Errorf("the lost numbers came again: %+v", got)
	}
}

func TestALossThatNobodyWaitedToHearIsToldToTheNextCallerInNeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, rdb := newRedis(t, time.Time{})
		q := newDaily(t, &slowRedis{DailyRedis: rdb, delay: time.Second}, bubbleEpoch, Segment(10, 10))
		for range 10 {
			mustNext(t, q)
		}
		q.settle()
		ids := make([]ID, 10)
		if n, err := q.NextN(t.Context(), ids); n != len(ids) || err != nil {
			t.Fatalf("NextN = %d, %v", n, err)
		}
		m.FlushAll()
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if _, err := q.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v, want the deadline", err)
		}
		q.settle()
		if _, err := q.Next(t.Context()); !errors.Is(err, ErrSequenceRegressed) {
			t.Errorf("got %v, want ErrSequenceRegressed", err)
		}
	})
}

func TestAKeyThatHoldsSomethingElseIsABackendError(t *testing.T) {
	m, rdb := newRedis(t, noon)
	m.Set("latchkey:daily:{orders}:counter:2026-11-23", "many")
	q := newDaily(t, rdb, Clock(newClock(noon).now))
	_, err := q.Next(t.Context())
	var reply redis.Error
	if !errors.Is(err, ErrBackend) || !errors.As(err, &reply) {
		t.Errorf("got %v, want ErrBackend with the reply of Redis", err)
	}
	m.Set("latchkey:daily:{orders}:counter:2026-11-23", "-50")
	if _, err := q.Next(t.Context()); !errors.Is(err, ErrSequenceRegressed) {
		t.Errorf("a negative counter: %v, want ErrSequenceRegressed", err)
	}
}
