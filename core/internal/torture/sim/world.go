// Package sim lets a small world of lock users go wrong in simulated time: some
// processes, each a Locker with its own hook of one Redis, in a bubble of
// testing/synctest. A seed decides on all of it: who asks for what and when, how
// long messages take, which are lost or come twice, who is paused, when Redis
// restarts, and what it forgets.
//
// Each actor and each Locker's hook has its own random numbers, so a seed means the
// same whatever the order in which the goroutines of one moment run. That order
// itself is not the seed's.
package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/internal/torture/history"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// Result is what happened in the world of a seed.
type Result struct {
	Attempts []history.Attempt
	Writes   []history.Write
	Terms    history.Terms
	// Found has what the world itself noticed: O4 to O7.
	Found []history.Violation
	// Faults counts what went wrong on purpose, by kind; Ambiguous, the calls whose
	// askers never got a reply.
	Faults    map[string]int
	Ambiguous int
}

// Judge has all oracles look at it.
func (r *Result) Judge() []history.Violation {
	return append(r.Found, history.Judge(r.Attempts, r.Writes, r.Terms)...)
}

// Run runs the world of a seed. It must not be called in a bubble: it makes one.
func Run(t *testing.T, seed uint64) Result {
	defer func() {
		if v := recover(); v != nil { // goroutines that do not end
			panic(fmt.Sprintf("seed %d: %v", seed, v))
		}
	}()
	var r Result
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, seed)
		w.live()
		r = w.result()
	})
	return r
}

// world is a Redis, those who use it, and what they saw.
type world struct {
	t     *testing.T
	seed  uint64
	begun time.Time
	plan  plan
	redis *locktest.Mini
	again *redis.Client // by which messages come a second time, or late
	ways  []*hook
	late  sync.WaitGroup // messages under way of which nobody knows
	calm  atomic.Bool    // nothing goes wrong any more
	// settled is set when what has gone wrong before is over, too, but for messages
	// that are under way.
	settled atomic.Bool
	over    chan struct{} // closed with that
	// revenants is how many requests were done with nobody to hear.
	revenants atomic.Int64

	forgot atomic.Int64   // when Redis last forgot everything
	losses []history.Loss // each time that it did; of fate's goroutine

	mu       sync.Mutex
	attempts []history.Attempt
	writes   []history.Write
	stored   map[string]uint64 // the fenced store
	presence presence
	found    []history.Violation
	faults   map[string]int
	lost     int
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, seed: seed, begun: time.Now(), redis: locktest.StartMini(t), over: make(chan struct{}),
		stored: map[string]uint64{}, faults: map[string]int{},
		presence: presence{map[string]int{}, map[string]int{}},
	}
	w.plan = makePlan(w.random("plan", 0))
	w.again = w.redis.Client(nil)
	return w
}

// random returns the random numbers of one actor, or of one event.
func (w *world) random(who string, n uint64) *rand.Rand {
	h := w.seed
	for _, c := range []byte(who) {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return rand.New(rand.NewPCG(h, n))
}

func (w *world) now() time.Duration { return time.Since(w.begun) }

// live lets everybody do what the seed wants, and looks at what is left.
func (w *world) live() {
	var lockers []*core.RedisLocker
	var clients []*redis.Client
	for i := range w.plan.lockers {
		rdb := w.client(i)
		l, err := core.New(faulty{rdb}, core.TTL(w.plan.ttl), core.Tenure(w.plan.tenures[i]))
		if err != nil {
			w.t.Fatal(err)
		}
		lockers, clients = append(lockers, l), append(clients, rdb)
	}
	var callers, fate sync.WaitGroup
	if w.plan.restarts > 0 {
		fate.Go(w.restart)
	}
	for i, l := range lockers {
		if w.plan.pauses > 0 {
			fate.Go(func() { w.pause(i) })
		}
		for c := range w.plan.callers {
			callers.Go(func() { w.caller(i, c, l) })
		}
	}
	callers.Wait()
	w.calm.Store(true)
	close(w.over)
	fate.Wait()
	w.settled.Store(true)
	w.stray(lockers[0], w.ways[0])
	// What nobody owns expires: the last is a queue in which only a late acquire
	// stands, after a minute.
	time.Sleep(2 * time.Minute)
	w.residue(lockers)
	for _, l := range lockers {
		if err := l.Close(); err != nil {
			w.note("O6", "Close: %v", err)
		}
	}
	synctest.Wait()
	if n := w.redis.PubSubNumSub(w.redis.PubSubChannels("*")...); len(n) > 0 {
		w.note("O6", "subscribed after Close: %v", n)
	}
	for _, rdb := range clients {
		_ = rdb.Close()
	}
	w.late.Wait()
}

// residue is O6, but for goroutines: the bubble itself does not end before them.
func (w *world) residue(lockers []*core.RedisLocker) {
	for i, l := range lockers {
		if s := l.Snapshot(); len(s.Holding)+len(s.Waiting)+s.Requests > 0 || s.Down != "" {
			w.note("O6", "process %d keeps %+v", i, s)
		}
	}
	for _, name := range w.redis.Keys() {
		if !strings.HasSuffix(name, ":fence") {
			w.note("O6", "left in Redis: %s", name)
		}
	}
	for key := range w.plan.keys {
		lock, err := lockers[0].TryAcquire(w.t.Context(), keyName(key))
		for range 32 { // connections in its pool that have been cut, and it does not know
			if !errors.Is(err, core.ErrBackend) {
				break
			}
			time.Sleep(time.Second)
			lock, err = lockers[0].TryAcquire(w.t.Context(), keyName(key))
		}
		if err != nil {
			w.note("O6", "not free at the end: %v", err)
			continue
		}
		if err := lock.Release(context.Background()); err != nil {
			w.note("O6", "not released at the end: %v", err)
		}
	}
}

func keyName(n int) string { return fmt.Sprint("k", n) }

func (w *world) note(oracle, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.found = append(w.found, history.Violation{Oracle: oracle, Text: fmt.Sprintf("after %v: ", w.now()) + fmt.Sprintf(format, args...)})
}

func (w *world) result() Result {
	if w.plan.orderly() {
		// Three messages, and three more if one crosses another; never a poll.
		for _, text := range history.Wakeups(w.attempts, 6*w.plan.delay+5*time.Millisecond) {
			w.note("O5", "%s", text)
		}
	}
	for _, text := range history.Overtaken(w.attempts) {
		w.note("O5", "%s", text)
	}
	return Result{
		Attempts: w.attempts, Writes: w.writes, Found: w.found, Faults: w.faults, Ambiguous: w.lost,
		Terms: history.Terms{Forgot: w.losses, Proof: w.plan.ttl, Exact: w.plan.exact()},
	}
}
