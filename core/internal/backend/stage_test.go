package backend_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/locktest"
)

const (
	prefix = "test"
	ttl    = 10 * time.Second
	// patience is for what happens soon. It is only ever used up by a test
	// that fails.
	patience = 20 * time.Second
	manyMay  = 1000 // a cap of the queue that is never reached
)

// stage is a Redis, a backend on it, and the key that the operations are about.
type stage struct {
	*testing.T
	mini *locktest.Mini  // nil on a real server
	real *locktest.Redis // nil on miniredis
	rdb  *redis.Client
	be   *backend.Backend
	key  string

	names               backend.Names // what key is called in Redis
	lease, queue, fence string
}

// onBoth runs a test against miniredis and against a real server: the protocol
// is the same, and simulations rely on that.
func onBoth(t *testing.T, test func(s *stage)) {
	t.Run("miniredis", func(t *testing.T) { test(onMini(t)) })
	t.Run("redis", func(t *testing.T) { test(onRedis(t)) })
}

func onMini(t *testing.T) *stage {
	mini := locktest.StartMini(t)
	s := newStage(t, mini.Client(nil))
	s.mini = mini
	return s
}

func onRedis(t *testing.T, args ...string) *stage {
	srv := locktest.StartRedis(t, args...)
	s := newStage(t, srv.Client(nil))
	s.real = srv
	return s
}

func newStage(t *testing.T, rdb *redis.Client) *stage {
	s := &stage{T: t, rdb: rdb, be: backend.New(rdb, prefix)}
	t.Cleanup(func() { closeBackend(t, s.be) })
	s.use("orders/42")
	return s
}

func closeBackend(t *testing.T, r *backend.Backend) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// use makes key the one that the stage is about.
func (s *stage) use(key string) {
	s.key = key
	s.names = s.be.Names(key)
	s.lease, s.queue, s.fence = s.names.Parts()
}

// ask carries an operation out.
func (s *stage) ask(op backend.Op) (backend.Reply, error) {
	s.Helper()
	answers := make(chan backend.Answer, 1)
	s.be.Do(op, func(a backend.Answer) { answers <- a })
	select {
	case a := <-answers:
		return a.Reply, a.Err
	case <-time.After(patience):
		s.Fatal("an operation was not answered")
		panic("unreachable")
	}
}

// must carries an operation out that is to come to the given status.
func (s *stage) must(want backend.Status, op backend.Op) backend.Reply {
	s.Helper()
	r, err := s.ask(op)
	if err != nil {
		s.Fatalf("%v", err)
	}
	if r.Status != want {
		s.Fatalf("status %d, want %d: %+v", r.Status, want, r)
	}
	return r
}

// acquire asks for the lease, ready to wait.
func (s *stage) acquire(e backend.Entry) backend.Op {
	return backend.Acquire(s.names, e, true, manyMay)
}

// release gives back what was granted in r.
func (s *stage) release(e backend.Entry, r backend.Reply) backend.Op {
	return backend.Release(s.names, e.ID(), r.Tokens.First, r.Tokens.Last, "")
}

// hold makes a new entry of a process that nobody listens for the owner.
func (s *stage) hold() (backend.Entry, backend.Reply) {
	s.Helper()
	e := newProcess(s).entry("holder=h")
	return e, s.must(backend.Granted, s.acquire(e))
}

// expire ends the lease as its expiry would: to a script, a key that has
// expired is missing.
func (s *stage) expire() {
	s.Helper()
	if n := ok(s.rdb.Del(s.Context(), s.lease).Result())(s); n != 1 {
		s.Fatal("there is no lease to expire")
	}
}

// wantLease fails the test unless e owns the lease, with the given flag, and
// the lease expires within its time to live but no earlier than least.
func (s *stage) wantLease(e backend.Entry, flag byte, most, least time.Duration) {
	s.Helper()
	want := string(flag) + string(e[1:])
	if got := ok(s.rdb.Get(s.Context(), s.lease).Result())(s); got != want {
		s.Errorf("lease %q, want %q", got, want)
	}
	if got := s.pttl(s.lease); got > most || got < least {
		s.Errorf("the lease expires in %v, want %v to %v", got, least, most)
	}
}

// wantNoLease fails the test if there is a lease.
func (s *stage) wantNoLease() {
	s.Helper()
	if v, err := s.rdb.Get(s.Context(), s.lease).Result(); err != redis.Nil {
		s.Errorf("lease %q, %v; want none", v, err)
	}
}

// wantQueue fails the test unless exactly these entries wait, in this order.
func (s *stage) wantQueue(entries ...backend.Entry) {
	s.Helper()
	var want []string
	for _, e := range entries {
		want = append(want, string(e))
	}
	if got := ok(s.rdb.ZRange(s.Context(), s.queue, 0, -1).Result())(s); !slices.Equal(got, want) {
		s.Errorf("queue\n%q, want\n%q", got, want)
	}
}

func (s *stage) pttl(name string) time.Duration {
	s.Helper()
	return ok(s.rdb.PTTL(s.Context(), name).Result())(s)
}

// dump returns all that is in Redis, to compare.
func (s *stage) dump() string {
	s.Helper()
	names := ok(s.rdb.Keys(s.Context(), "*").Result())(s)
	slices.Sort(names)
	var b strings.Builder
	for _, n := range names {
		var v any
		switch kind := ok(s.rdb.Type(s.Context(), n).Result())(s); kind {
		case "string":
			v = ok(s.rdb.Get(s.Context(), n).Result())(s)
		case "zset":
			v = ok(s.rdb.ZRangeWithScores(s.Context(), n, 0, -1).Result())(s)
		case "list":
			v = ok(s.rdb.LRange(s.Context(), n, 0, -1).Result())(s)
		default:
			s.Fatalf("%s is a %s", n, kind)
		}
		fmt.Fprintf(&b, "%s: %q\n", n, v)
	}
	return b.String()
}

// ok returns a function that returns v, and ends the test on an error.
func ok[V any](v V, err error) func(testing.TB) V {
	return func(tb testing.TB) V {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}
