package fleet

import (
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/internal/torture/history"
)

// ledger is what the processes have told, as a history.
type ledger struct {
	attempts []history.Attempt
	terms    []terms           // of each attempt
	of       map[attemptID]int // where those are that are under way, or granted
	grants   int
	falls    int               // of them, to tokens lower than one before, as they are told
	highest  map[string]uint64 // token of each key
	failed   map[string]int    // attempts, by class
	unback   map[string]int    // releases that failed, by class
	redis    lagMeter          // of Redis, as the parent sees it
	found    []history.Violation
	lags     map[uint32]*lagMeter       // of the processes
	beats    map[uint32]time.Duration   // until when they have told how late they were
	names    map[uint32]backend.Process // of their Lockers
}

func newLedger() *ledger {
	return &ledger{of: map[attemptID]int{}, highest: map[string]uint64{}, failed: map[string]int{}, unback: map[string]int{}, lags: map[uint32]*lagMeter{}, beats: map[uint32]time.Duration{}, names: map[uint32]backend.Process{}}
}

func (l *ledger) note(oracle, format string, args ...any) {
	l.found = append(l.found, history.Violation{Oracle: oracle, Text: fmt.Sprintf(format, args...)})
}

func (l *ledger) lagOf(process uint32) *lagMeter {
	if l.lags[process] == nil {
		l.lags[process] = &lagMeter{}
	}
	return l.lags[process]
}

func (l *ledger) take(process uint32, r record) {
	id := attemptID{process, r.attempt}
	switch r.what {
	case hello:
		l.names[process] = r.name()
		return
	case asked:
		// Until more is told, it is one whose outcome nobody will ever know.
		l.of[id] = len(l.attempts)
		l.attempts = append(l.attempts, history.Attempt{
			Key: KeyName(int(r.key)), Process: int(process), Caller: int(process), Call: r.at, Return: history.Never,
			Proven: history.Never, Freed: history.Never, Back: history.Never,
		})
		l.terms = append(l.terms, terms{id: id, wait: time.Duration(r.token), deadline: r.proven, released: history.Never})
		return
	case late:
		l.note("O4", "attempt %v: its holder was not told of the loss, for %v", id, r.proven)
		return
	case unwritten:
		l.note("O3", "attempt %v: its holder could not write to the stores, see the stderr of process %d", id, process)
		return
	case lagged:
		if l.beats[process] = r.at; r.proven > 0 {
			l.lagOf(process).add(lateness{r.at, r.proven})
		}
		return
	case bye:
		if r.class != 0 {
			l.note("O6", "process %d leaves goroutines", process)
		}
		return
	}
	n, ok := l.of[id]
	if !ok {
		l.note("O6", "process %d tells of attempt %d, which it has not begun", process, r.attempt)
		return
	}
	a := &l.attempts[n]
	switch r.what {
	case granted:
		l.grants++
		if r.token < l.highest[a.Key] {
			l.falls++
		}
		l.highest[a.Key] = max(l.highest[a.Key], r.token)
		a.Outcome, a.Return, a.Token, a.First, a.Proven = history.Granted, r.at, r.token, r.proven, r.proven
	case proven:
		a.Proven = max(a.Proven, r.proven)
	case freed:
		a.Freed = r.at
	case back:
		a.Back, l.terms[n].released = r.at, r.at
	case unreturned:
		t := &l.terms[n]
		t.released, t.unreturned, t.class = r.at, true, r.class
		l.unback[classNames[r.class]]++
	case failed:
		a.Return = r.at
		l.terms[n].failed, l.terms[n].class = true, r.class
		l.failed[classNames[r.class]]++
		switch r.class {
		case classHeld:
			a.Outcome = history.Held
		case classQueueFull:
			a.Outcome = history.Refused
		}
		delete(l.of, id)
	}
}
