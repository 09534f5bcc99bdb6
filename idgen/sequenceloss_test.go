package idgen

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// stands is where the counter is in Redis.
func stands(t *testing.T, m *miniredis.Miniredis) int {
	t.Helper()
	v, err := m.Get(ordersKey)
	n, err2 := strconv.Atoi(v)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return n
}

// drain uses what is at hand, and returns the last of it and the error after.
func drain(t *testing.T, q *Sequence) (last ID, err error) {
	t.Helper()
	for {
		id, err := q.Next(t.Context())
		q.settle()
		if err != nil {
			return last, err
		}
		last = id
	}
}

func TestALostCounterIsRefusedUntilItIsSetAboveWhatWasSeen(t *testing.T) {
	clock := newClock(noon)
	m, rdb := newSequenceRedis(t)
	q := newSequence(t, rdb, Clock(clock.now), Segment(100, 100))
	for range 250 {
		mustNumber(t, q)
		q.settle()
	}
	m.FlushAll()
	clock.advance(time.Hour)
	last, err := drain(t, q)
	if last != 400 || !errors.Is(err, ErrSequenceRegressed) {
		t.Fatalf("got %v after %d, want ErrSequenceRegressed after what is at hand", err, last)
	}
	for _, want := range []string{ordersKey, "stands at 0", "at 400 before", "SET " + ordersKey} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	for range 100 {
		clock.advance(time.Minute)
		if _, err := q.Next(t.Context()); !errors.Is(err, ErrSequenceRegressed) {
			t.Fatalf("a later call: %v, want ErrSequenceRegressed", err)
		}
	}
	if n := stands(t, m); n != 0 {
		t.Errorf("the refused calls have moved the counter to %d", n)
	}
	m.Set(ordersKey, "399") // too low
	if _, err := q.Next(t.Context()); !errors.Is(err, ErrSequenceRegressed) {
		t.Errorf("below what was seen: %v, want ErrSequenceRegressed", err)
	}
	m.Set(ordersKey, "5000")
	if got := mustNumber(t, q); got != 5001 {
		t.Errorf("after the counter was set: %d, want 5001", got)
	}
}

// One that has seen little would be let through, if one that has seen more moved
// the counter.
func TestARefusalDoesNotUnlockThoseWhoHaveSeenLess(t *testing.T) {
	clock := newClock(noon)
	m, rdb := newSequenceRedis(t)
	idle := newSequence(t, rdb, Clock(clock.now), Segment(10, 10))
	mustNumber(t, idle)
	busy := newSequence(t, rdb, Clock(clock.now), Segment(1000, 1000))
	for range 5000 {
		mustNumber(t, busy)
		busy.settle()
	}
	m.FlushAll()
	clock.advance(2 * time.Second)
	for _, q := range []*Sequence{busy, idle, busy, idle} {
		if last, err := drain(t, q); !errors.Is(err, ErrSequenceRegressed) {
			t.Errorf("got %v after %d", err, last)
		}
	}
	if n := stands(t, m); n != 0 {
		t.Errorf("the refused calls have moved the counter to %d", n)
	}
}

func TestALossWithinASecondMovesTheCounterOnceAndIsNoSignOfAMend(t *testing.T) {
	clock := newClock(noon)
	m, rdb := newSequenceRedis(t)
	q := newSequence(t, rdb, Clock(clock.now), Segment(10, 10))
	mustNumber(t, q)
	q.settle()
	m.FlushAll()
	batch := make([]ID, 1000) // 20 are at hand
	n, err := q.NextN(t.Context(), batch)
	if n != 19 || !errors.Is(err, ErrSequenceRegressed) || !strings.Contains(err.Error(), "gave 1 to 981, which are not used") {
		t.Fatalf("NextN = %d, %v; want what is at hand and ErrSequenceRegressed", n, err)
	}
	for range 100 {
		if _, err := q.Next(t.Context()); !errors.Is(err, ErrSequenceRegressed) || !strings.Contains(err.Error(), "above 981") {
			t.Fatalf("the counter is above 20 because of the refused range alone: %v", err)
		}
	}
	if n := stands(t, m); n != 981 {
		t.Errorf("the counter is at %d, want 981", n)
	}
	m.Set(ordersKey, "2000")
	if got := mustNumber(t, q); got != 2001 {
		t.Errorf("after the counter was set: %d, want 2001", got)
	}
}

func TestProcessesThatStartAfterALossAreToldByAfter(t *testing.T) {
	m, rdb := newSequenceRedis(t)
	for range 100 { // one that crashes for this reason, and is started again
		q := newSequence(t, rdb, After(5000))
		if _, err := q.Next(t.Context()); !errors.Is(err, ErrSequenceRegressed) {
			t.Fatalf("got %v, want ErrSequenceRegressed", err)
		}
	}
	if n := stands(t, m); n != 0 {
		t.Errorf("they have moved the counter to %d", n)
	}
	m.Set(ordersKey, "5000")
	if got := mustNumber(t, newSequence(t, rdb, After(5000))); got != 5001 {
		t.Errorf("after the counter was set: %d, want 5001", got)
	}
	if got := mustNumber(t, newSequence(t, rdb, After(4000))); got != 5101 {
		t.Errorf("another process: %d, want 5101", got)
	}
}

func TestANegativeCounterIsRefusedUntilItIsSet(t *testing.T) {
	for _, at := range []string{"-1000000", "-100", "-50"} {
		m, rdb := newSequenceRedis(t)
		m.Set(ordersKey, at)
		q := newSequence(t, rdb, Segment(100, 100))
		for range 100 {
			if id, err := q.Next(t.Context()); !errors.Is(err, ErrSequenceRegressed) {
				t.Fatalf("at %s: %d, %v; want ErrSequenceRegressed", at, id, err)
			}
		}
		m.Set(ordersKey, "70")
		if got := mustNumber(t, q); got != 71 {
			t.Errorf("after the counter was set: %d, want 71", got)
		}
	}
}

func TestAKeyThatHoldsNoNumberIsABackendError(t *testing.T) {
	for what, spoil := range map[string]func(*miniredis.Miniredis){
		"a hash": func(m *miniredis.Miniredis) { m.HSet(ordersKey, "a", "1") },
		"text":   func(m *miniredis.Miniredis) { m.Set(ordersKey, "many") },
		"more than 64 bits": func(m *miniredis.Miniredis) {
			m.Set(ordersKey, "9223372036854775808")
		},
	} {
		m, rdb := newSequenceRedis(t)
		spoil(m)
		q := newSequence(t, rdb)
		_, err := q.Next(t.Context())
		var reply redis.Error
		if !errors.Is(err, ErrBackend) || !errors.As(err, &reply) {
			t.Errorf("%s: %v, want ErrBackend with the reply of Redis", what, err)
		}
		m.Del(ordersKey)
		if got := mustNumber(t, q); got != 1 {
			t.Errorf("%s: after it was deleted: %d", what, got)
		}
	}
}
