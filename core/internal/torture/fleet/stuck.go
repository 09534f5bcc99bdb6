package fleet

import (
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/torture/history"
)

// patience is how long a process that is at work, or comes to its end, may have
// nothing to tell: far more than the longest wait, one tenure, and all timeouts of
// its clients, one after another. Who is silent for longer is stuck.
func (w *Work) patience() time.Duration {
	return w.Wait + max(w.Hold, 2*w.TTL) + w.Rest + w.TTL + 30*time.Second
}

// awaitSilence returns when the process in a place has told all that it ever will.
// One that is stuck is O7: it is killed, and false is returned.
func (f *Fleet) awaitSilence(p *place) bool {
	for {
		select {
		case <-p.silent: // perhaps since long
			return true
		default:
		}
		left := time.Duration(p.told.Load()) + f.patience - now()
		if left <= 0 {
			break
		}
		select {
		case <-p.silent:
		case <-time.After(left):
		}
	}
	number, from := p.process.work.Process, now()
	stacks := p.process.stacks()
	<-p.silent
	f.deaths = append(f.deaths, death{int(number), from, now()})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("O7", "process %d was silent for %v, and has not come to its end; its stacks:\n%s", number, f.patience, stacks)
	for _, id := range f.ledger.open(number) {
		f.note("O7", "attempt %v, asked at %v, has not returned", id, f.ledger.attempts[f.ledger.of[id]].Call)
	}
	return false
}

// open are a process's attempts that have begun and, as far as it has told, not
// returned.
func (l *ledger) open(process uint32) []attemptID {
	var ids []attemptID
	for id, n := range l.of {
		if a := &l.attempts[n]; id.process == process && a.Outcome == history.Open && a.Return == history.Never {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b attemptID) int { return int(a.number) - int(b.number) })
	return ids
}
