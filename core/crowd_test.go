package core_test

import (
	"errors"
	"flag"
	"fmt"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core"
)

// faults is how many faults of each kind the tests of clusters and Sentinels
// inject: few by default, because each takes seconds.
var faults = flag.Int("faults", 1, "faults of each kind in the tests of clusters and Sentinels")

const (
	crowdKeys = 8                // each in another bucket
	crowdTTL  = 10 * time.Second // the default
	// crowdLinger is for how long holders stay who come in before a fault: longer
	// than a failover takes.
	crowdLinger = 4 * time.Second
	// crowdPatience is far more than a failover takes and all leases that it may
	// leave behind.
	crowdPatience = 30 * time.Second
)

// crowdCallers is how many of each Locker contend for each key. Where there is
// only one fault it is to be seen that it is survived, not by how many.
func crowdCallers() int {
	if *faults == 1 {
		return 1
	}
	return 3
}

// crowdStay is for how long they stay. Where there is only one fault they leave the
// machine to the tests beside them.
func crowdStay() time.Duration {
	if *faults == 1 {
		return 5 * time.Millisecond
	}
	return time.Millisecond
}

// crowd is many callers of several Lockers that contend for a few keys, each of
// which leads to a store that checks fencing tokens, and what they see.
type crowd struct {
	t       *testing.T
	lockers []*core.RedisLocker
	places  []*place
	over    atomic.Bool
	callers sync.WaitGroup

	lingering atomic.Bool // holders of some places who come in now stay for long

	grants   atomic.Int64
	refusals atomic.Int64 // of acquires, by an error
	lost     atomic.Int64 // holders who were told so
}

// place is what a key's holders do: a store, and a witness.
type place struct {
	key     string
	lingers bool

	mu       sync.Mutex
	inside   map[core.Lock]int // by when they came in: the how manieth
	entries  int
	token    uint64    // the highest that was granted
	stored   uint64    // the highest that has written
	writer   int       // when its holder came in
	doubles  int       // grants beside another whose lock was proven
	refused  int       // stale writes that the store refused
	accepted int       // stale writes that it did not, which must not be
	falls    int       // tokens that did not rise
	entered  time.Time // the last
	marked   time.Time
	first    time.Time // to come in after marked
}

// newCrowd starts callers. close is to be called for what they have seen.
func newCrowd(t *testing.T, lockers []*core.RedisLocker) *crowd {
	c := &crowd{t: t, lockers: lockers}
	for i := range crowdKeys {
		c.places = append(c.places, &place{key: fmt.Sprint("seat/", i), lingers: i%2 == 1, inside: make(map[core.Lock]int), entered: time.Now()})
	}
	for _, l := range lockers {
		for _, p := range c.places {
			for range crowdCallers() {
				c.callers.Go(func() { c.call(l, p) })
			}
		}
	}
	return c
}

// call takes the lock of p again and again until it is over.
func (c *crowd) call(l *core.RedisLocker, p *place) {
	for n := 0; !c.over.Load(); n++ {
		lock, err := l.Acquire(c.t.Context(), p.key)
		if err != nil {
			c.refusals.Add(1)
			if errors.Is(err, core.ErrWaitTimeout) || !errors.Is(err, core.ErrBackend) {
				c.t.Errorf("%s: %v", p.key, err)
			}
			// Those who are refused come again, but not at once.
			select {
			case <-time.After(20 * time.Millisecond):
			case <-c.t.Context().Done():
			}
			continue
		}
		c.grants.Add(1)
		p.enter(lock)
		stay := crowdStay()
		switch {
		case p.lingers && c.lingering.Load():
			stay = crowdLinger
		case n%40 == 7:
			stay = 50 * time.Millisecond // others gather behind it
		}
		select {
		case <-time.After(stay):
		case <-lock.Context().Done():
			c.lost.Add(1)
		}
		p.write(lock)
		p.leave(lock)
		if err := lock.Release(c.t.Context()); err != nil && !errors.Is(err, core.ErrLost) && !errors.Is(err, core.ErrBackend) {
			c.t.Errorf("%s: Release: %v", p.key, err)
		}
	}
}

func (p *place) enter(lock core.Lock) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for other := range p.inside {
		if other.Remaining() > 0 && lock.Remaining() > 0 {
			p.doubles++
		}
	}
	p.entries++
	p.inside[lock] = p.entries
	if lock.Token() <= p.token {
		p.falls++
	}
	p.token = max(p.token, lock.Token())
	p.entered = time.Now()
	if p.first.IsZero() && p.entered.After(p.marked) {
		p.first = p.entered
	}
}

// write is by the holder of a lock, which may have been overtaken.
func (p *place) write(lock core.Lock) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if lock.Token() < p.stored {
		p.refused++
		return
	}
	// The store has gone by the tokens; was it right?
	if p.inside[lock] < p.writer {
		p.accepted++
	}
	p.stored, p.writer = lock.Token(), p.inside[lock]
}

func (p *place) leave(lock core.Lock) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.inside, lock)
}

// mark begins to look who comes in next.
func (c *crowd) mark() time.Time {
	now := time.Now()
	for _, p := range c.places {
		p.mu.Lock()
		p.marked, p.first = now, time.Time{}
		p.mu.Unlock()
	}
	return now
}

// recovery waits until each key has been granted since mark, and returns how long
// after the given moment the last of those was for the first time on which nobody
// lingers.
func (c *crowd) recovery(since time.Time) time.Duration {
	c.t.Helper()
	var longest time.Duration
	for _, p := range c.places {
		within(c.t, crowdPatience, p.key+" is granted again", func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			if !p.lingers {
				longest = max(longest, p.first.Sub(since))
			}
			return !p.first.IsZero()
		})
	}
	return longest
}

// sums adds up what the places have seen.
func (c *crowd) sums() (doubles, refused, accepted, falls int) {
	for _, p := range c.places {
		p.mu.Lock()
		doubles, refused, accepted, falls = doubles+p.doubles, refused+p.refused, accepted+p.accepted, falls+p.falls
		p.mu.Unlock()
	}
	return doubles, refused, accepted, falls
}

// end stops the callers. Each must come to its end: nobody waits for ever.
func (c *crowd) end() {
	c.t.Helper()
	c.over.Store(true)
	gone := make(chan struct{})
	go func() { c.callers.Wait(); close(gone) }()
	select {
	case <-gone:
	case <-time.After(crowdPatience):
		var stuck []string
		for _, p := range c.places {
			p.mu.Lock()
			stuck = append(stuck, fmt.Sprintf("%s: last granted %v ago", p.key, time.Since(p.entered).Round(time.Millisecond)))
			p.mu.Unlock()
		}
		c.t.Fatalf("callers are stuck:\n%s", strings.Join(stuck, "\n"))
	}
}

// labelGoroutines gives the goroutines that t starts from here on its name, by which
// leavesNoGoroutine knows them from those of tests beside it.
func labelGoroutines(t *testing.T) {
	pprof.SetGoroutineLabels(pprof.WithLabels(t.Context(), pprof.Labels("test", t.Name())))
}

// leavesNoGoroutine closes what the Lockers are made of and fails the test if
// goroutines of this module are left that it has started since labelGoroutines.
func leavesNoGoroutine(t *testing.T, lockers []*core.RedisLocker) {
	t.Helper()
	if len(goroutinesOf(t)) == 0 {
		t.Error("no goroutine of a Locker's subscription is seen: there is nothing to be counted")
	}
	for _, l := range lockers {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		left := goroutinesOf(t)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("goroutines are left:\n%s", strings.Join(left, "\n\n"))
		}
		<-time.After(10 * time.Millisecond)
	}
}

// goroutinesOf returns the stacks of t's goroutines that are at work in core.
func goroutinesOf(t *testing.T) []string {
	t.Helper()
	var all strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&all, 1); err != nil {
		t.Fatal(err)
	}
	label := fmt.Sprintf("%q:%q", "test", t.Name())
	var ours []string
	for g := range strings.SplitSeq(all.String(), "\n\n") {
		if strings.Contains(g, label) && (strings.Contains(g, "/core.(*") || strings.Contains(g, "/core/internal/backend.(*")) {
			ours = append(ours, g)
		}
	}
	return ours
}
