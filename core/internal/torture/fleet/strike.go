package fleet

import (
	"time"

	"github.com/latchkey-go/latchkey/core/internal/torture/history"
)

// Freeze stops some processes for d (SIGSTOP), and lets them go on. It returns for
// how many tenures and waits they were stopped.
func (f *Fleet) Freeze(n int, d time.Duration) (holding, waiting int) {
	f.t.Helper()
	f.frozen = true
	some := f.random.Perm(len(f.places))[:n]
	for _, i := range some {
		f.signal(i, stopSignal)
	}
	f.Elapse(d)
	for _, i := range some {
		h, w := f.underWay(f.places[i].process.work.Process)
		holding, waiting = holding+h, waiting+w
		f.signal(i, goOnSignal)
	}
	return holding, waiting
}

// Kill kills some processes (SIGKILL) and puts others in their places. It returns
// how many tenures and waits have come to their end with them.
func (f *Fleet) Kill(n int) (holding, waiting int) {
	f.t.Helper()
	for _, i := range f.random.Perm(len(f.places))[:n] {
		p := f.places[i]
		from := now()
		if err := p.process.kill(); err != nil {
			f.note("O6", "%v", err)
		}
		at := now()
		<-p.silent
		h, w := f.underWay(p.process.work.Process)
		holding, waiting = holding+h, waiting+w
		f.deaths = append(f.deaths, death{int(p.process.work.Process), from, at})
	}
	for _, p := range f.places {
		if p.process.killed {
			f.fill(p)
		}
	}
	return holding, waiting
}

// Proven is how many had a lock with proof at a moment, as far as is told.
func (f *Fleet) Proven(at time.Duration) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, i := range f.ledger.of {
		if a := &f.ledger.attempts[i]; a.Outcome == history.Granted && a.Return < at && min(a.Proven, a.Freed) > at {
			n++
		}
	}
	return n
}

// underWay is how many locks a process has, and for how many it waits, as far as
// it has told.
func (f *Fleet) underWay(process uint32) (holding, waiting int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.ledger.of {
		switch a := &f.ledger.attempts[n]; {
		case a.Process != int(process):
		case a.Outcome == history.Granted && a.Freed == history.Never:
			holding++
		case a.Outcome == history.Open:
			waiting++
		}
	}
	return holding, waiting
}
