package idgen

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	_ "time/tzdata" // the same days on every machine that runs the tests

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// fakeClock is a wall clock that a test sets, forwards and backwards.
type fakeClock struct{ nano atomic.Int64 }

func newClock(at time.Time) *fakeClock {
	c := &fakeClock{}
	c.set(at)
	return c
}

func (c *fakeClock) now() time.Time          { return time.Unix(0, c.nano.Load()) }
func (c *fakeClock) set(at time.Time)        { c.nano.Store(at.UnixNano()) }
func (c *fakeClock) advance(d time.Duration) { c.nano.Add(int64(d)) }

func location(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// countedRedis counts the fetches.
type countedRedis struct {
	DailyRedis
	trips atomic.Int64
}

func (c *countedRedis) Pipelined(ctx context.Context, fn func(redis.Pipeliner) error) ([]redis.Cmder, error) {
	c.trips.Add(1)
	return c.DailyRedis.Pipelined(ctx, fn)
}

// newRedis starts a miniredis without a listener, so that it also runs inside a
// synctest bubble, with its clock at the given time (or real, if zero).
func newRedis(t testing.TB, at time.Time) (*miniredis.Miniredis, *countedRedis) {
	t.Helper()
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	if !at.IsZero() {
		m.SetTime(at)
	}
	rdb := redis.NewClient(&redis.Options{
		Addr:   "127.0.0.1:6379", // a name would be looked up
		Dialer: func(context.Context, string, string) (net.Conn, error) { return m.Dial() },
	})
	t.Cleanup(func() {
		rdb.Close()
		m.Close()
	})
	return m, &countedRedis{DailyRedis: rdb}
}

var testEpoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newDaily(t testing.TB, rdb DailyRedis, opts ...DailyOption) *DailySequence {
	t.Helper()
	q, err := NewDailySequence(rdb, "orders", append([]DailyOption{Epoch(testEpoch)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, q)
	return q
}

func closeAfter(t testing.TB, g io.Closer) {
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
}

// settle waits until no fetch is under way.
func (s *fetches) settle() {
	s.mu.Lock()
	trip := s.inFlight
	s.mu.Unlock()
	if trip != nil {
		<-trip.done
	}
}

func mustNext(t testing.TB, q *DailySequence) DailyParts {
	t.Helper()
	id, err := q.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, err := q.Split(id)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
