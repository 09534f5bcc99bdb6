// Package fleet has real processes contend for locks on a real Redis, and strikes
// them: they are stopped, killed, replaced. What each process saw it tells its
// parent, who has all that happened as one history.
//
// The processes are the test binary again: its TestMain calls [Child] first.
package fleet

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/torture/history"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// Fleet is some places with one process each at a time. Its methods are for the
// test's goroutine.
type Fleet struct {
	t      *testing.T
	work   Work
	random *rand.Rand
	server *locktest.Redis
	store  *redis.Client
	places []*place
	lag    lagMeter
	calm   func() // stops measuring it

	patience time.Duration // see [Work.patience]

	made              uint32 // processes so far
	deaths            []death
	forgets, wentBack bool // see [Fleet.Forgets]

	found  []history.Violation
	frozen bool // some were, at some time
	over   bool // End has begun

	mu     sync.Mutex
	ledger *ledger
}

// death is a process that was killed: between two moments, the later of which is
// when it was gone.
type death struct {
	process  int
	from, at time.Duration
}

// place is where one process follows another.
type place struct {
	process *process
	silent  chan struct{} // closed when it has told all that it ever will
	told    atomic.Int64  // when it last told something
}

// Start has processes do work on server, reached at addr.
func Start(t *testing.T, server *locktest.Redis, addr string, processes int, work Work, seed uint64) *Fleet {
	t.Helper()
	stores := locktest.StartRedis(t)
	work.Redis, work.Store, work.Seed = addr, stores.Addr(), seed
	f := &Fleet{
		t: t, work: work, server: server, store: stores.Client(nil), patience: work.patience(),
		random: rand.New(rand.NewPCG(seed, 0)), ledger: newLedger(),
	}
	own := f.lag.start(nil)
	// Its questions are not repeated: the meter asks again soon.
	watch := server.Client(&redis.Options{MaxRetries: -1, DialerRetries: 1, ReadTimeout: time.Second, PoolSize: 1})
	pings := f.ledger.redis.watch(watch)
	f.calm = func() { own(); pings() }
	for range processes {
		p := &place{}
		f.places = append(f.places, p)
		f.fill(p)
	}
	t.Cleanup(func() { // if the test has failed before End
		for _, p := range f.places {
			if err := p.process.kill(); err != nil && !f.over {
				t.Error(err)
			}
		}
	})
	f.Await(processes)
	return f
}

// fill puts a new process in a place.
func (f *Fleet) fill(p *place) {
	f.t.Helper()
	f.made++
	w := f.work
	w.Process = f.made
	process, err := startProcess(w)
	if err != nil {
		f.t.Fatal(err)
	}
	f.listen(p, process)
}

// listen has a process in a place, and takes in what it tells.
func (f *Fleet) listen(p *place, process *process) {
	p.process = process
	silent := make(chan struct{})
	p.silent = silent
	p.told.Store(int64(now()))
	go func() {
		defer close(silent)
		err := hear(process.out, func(r record) {
			if r.what != lagged { // which a process tells that is stuck, too
				p.told.Store(int64(now()))
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			f.ledger.take(process.work.Process, r)
		})
		if err != nil {
			f.t.Error(err)
		}
	}()
}

// note adds a finding.
func (f *Fleet) note(oracle, format string, args ...any) {
	f.found = append(f.found, history.Violation{Oracle: oracle, Text: fmt.Sprintf(format, args...)})
}

// Await returns when there have been n more grants.
func (f *Fleet) Await(n int) {
	f.t.Helper()
	target := f.Grants() + n
	for begun := time.Now(); f.Grants() < target; {
		if time.Since(begun) > 2*time.Minute {
			for _, p := range f.places {
				f.t.Logf("process %d:\n%s", p.process.work.Process, p.process.stacks())
			}
			f.t.Fatalf("fleet: only %d of %d grants after %v", f.Grants(), target, time.Since(begun))
		}
		f.Elapse(5 * time.Millisecond)
	}
}

// Grants is how many there have been.
func (f *Fleet) Grants() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ledger.grants
}

// Falls is how many grants there have been whose tokens were lower than that of one
// before, as far as is told.
func (f *Fleet) Falls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ledger.falls
}

// Elapse lets the fleet work for a while.
func (f *Fleet) Elapse(d time.Duration) {
	select {
	case <-time.After(d):
	case <-f.t.Context().Done():
	}
}

// Between is a random time.
func (f *Fleet) Between(least, most time.Duration) time.Duration {
	return least + time.Duration(f.random.Int64N(int64(most-least)+1))
}

// Outcome is what a fleet saw.
type Outcome struct {
	Attempts []history.Attempt
	Writes   []history.Write
	TwinLost int // what a store without checks has lost to writes of lower tokens
	Found    []history.Violation
	Failed   map[string]int // attempts that failed, by class
	Unback   map[string]int // and releases

	// Late is how late a process may have been between two moments: see grace. It is
	// for [history.Terms.Late].
	Late func(process int, from, to time.Duration) time.Duration
}

// AwaitDone returns when all processes have done their work, or are stuck.
func (f *Fleet) AwaitDone() {
	for _, p := range f.places {
		f.awaitSilence(p)
	}
}

// End has all processes end, and returns what they saw. allowed are the classes of
// errors that there may be, besides "held" and "deadline": of Acquire, and of Release
// "backend" and "lost" only. A process that was late itself may have these in any case.
func (f *Fleet) End(allowed ...string) Outcome {
	f.t.Helper()
	f.over = true
	rdb := f.server.Client(nil)
	// One more of each process is its subscription.
	working := f.work.Attempts == 0 // the others may have ended
	may := len(f.places) * (poolSize + 1)
	if n, err := connections(rdb); err != nil || n == 0 && working || n > may {
		f.note("O6", "%d connections, of at most %d, %v", n, may, err)
	}
	for _, p := range f.places {
		p.told.Store(int64(now())) // its time to come to its end, beside all others
		p.process.leave()
	}
	for _, p := range f.places {
		if !f.awaitSilence(p) {
			continue
		}
		if err := p.process.wait(); err != nil {
			f.note("O6", "%v", err)
		}
	}
	// Where Redis is struck, its errors are allowed.
	residue := f.residue(rdb, f.frozen || len(f.deaths) > 0 || slices.Contains(allowed, classNames[classBackend]))
	f.calm()
	o := Outcome{Attempts: f.ledger.attempts, Failed: f.ledger.failed, Unback: f.ledger.unback}
	w, err := f.ledger.writes(f.store, f.work.Keys)
	if err != nil {
		f.t.Fatal(err)
	}
	o.Writes, o.TwinLost = w.writes, w.lost
	o.Late = func(process int, from, to time.Duration) time.Duration {
		return grace + f.ledger.lag(process, from, to)
	}
	f.ledger.answers(f.deaths, f.rules(allowed))
	o.Found = slices.Concat(f.found, f.ledger.found, w.found, residue, f.recoveries())
	return o
}
