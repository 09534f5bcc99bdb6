package fleet

import (
	"fmt"

	"github.com/latchkey-go/latchkey/core/internal/torture/history"
)

// ledger is what the processes have told, as a history.
type ledger struct {
	attempts []history.Attempt
	of       map[attemptID]int // where those are that are under way, or granted
	grants   int
	failed   map[string]int
	found    []history.Violation
	lags     map[uint32]*lagMeter // of the processes that tell
}

func newLedger() *ledger {
	return &ledger{of: map[attemptID]int{}, failed: map[string]int{}, lags: map[uint32]*lagMeter{}}
}

func (l *ledger) note(oracle, format string, args ...any) {
	l.found = append(l.found, history.Violation{Oracle: oracle, Text: fmt.Sprintf(format, args...)})
}

func (l *ledger) take(process uint32, r record) {
	id := attemptID{process, r.attempt}
	switch r.what {
	case asked:
		// Until more is told, it is one whose outcome nobody will ever know.
		l.of[id] = len(l.attempts)
		l.attempts = append(l.attempts, history.Attempt{
			Key: keyName(int(r.key)), Process: int(process), Caller: int(process), Call: r.at, Return: history.Never,
			Proven: history.Never, Freed: history.Never, Back: history.Never,
		})
		return
	case late:
		oracle, what := "O4", "its holder was not told of the loss"
		if r.class == findingLate {
			oracle, what = "O7", "it returned after its deadline"
		}
		l.note(oracle, "attempt %v: %s, for %v", id, what, r.proven)
		return
	case lagged:
		if l.lags[process] == nil {
			l.lags[process] = &lagMeter{}
		}
		l.lags[process].add(lateness{r.at, r.proven})
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
		a.Outcome, a.Return, a.Token, a.First, a.Proven = history.Granted, r.at, r.token, r.proven, r.proven
	case proven:
		a.Proven = max(a.Proven, r.proven)
	case freed:
		a.Freed = r.at
	case back:
		a.Back = r.at
	case failed:
		a.Return = r.at
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
