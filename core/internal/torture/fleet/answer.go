package fleet

import (
	"time"

	"github.com/latchkey-go/latchkey/core/internal/torture/history"
)

// terms are those on which an attempt was made, and the answer if it failed.
type terms struct {
	id       attemptID
	wait     time.Duration
	deadline time.Duration // of its context, or Never
	failed   bool
	class    byte
}

// backendWait is how long a call goes on without an answer from Redis: see "When
// things fail" in core's documentation.
const backendWait = 2 * time.Second

// due is when an attempt that was asked at a moment has to have returned.
func (t *terms) due(asked time.Duration) time.Duration {
	return min(t.deadline, asked+max(t.wait, backendWait))
}

// answers is O7: each attempt came to an end in time, and with an error only that
// it may have. deaths says when processes were killed. allowed are the classes that
// there may be besides "held" and "deadline".
func (l *ledger) answers(deaths []death, allowed func(class string) bool) {
	ends := map[int]time.Duration{}
	for _, d := range deaths {
		// How late it was itself after that is not told any more.
		ends[d.process] = min(d.from, l.beats[uint32(d.process)])
	}
	for n := range l.terms {
		a, t := &l.attempts[n], &l.terms[n]
		until := a.Return
		if end, ok := ends[a.Process]; ok {
			until = min(until, end)
		}
		if late := l.late(a, t, until); late > 0 && until != history.Never {
			l.note("O7", "attempt %v, asked at %v, wait %v, deadline %v: it had not returned %v later than it had to",
				t.id, a.Call, t.wait, told(t.deadline), late)
		}
		if t.failed {
			l.judgeError(a, t, allowed)
		}
	}
}

// late is by how much more than its process an attempt was late, at a moment.
func (l *ledger) late(a *history.Attempt, t *terms, until time.Duration) time.Duration {
	due := t.due(a.Call)
	over := until - due - grace
	if over <= 0 {
		return 0
	}
	lag := l.lagOf(uint32(a.Process))
	over -= lag.within(due, until)
	if over > 0 && due != t.deadline {
		// The wait begins when the library has the call, and not when it was told.
		over -= lag.stopped(a.Call)
	}
	return over
}

// judgeError judges what an attempt has failed with.
func (l *ledger) judgeError(a *history.Attempt, t *terms, allowed func(class string) bool) {
	const tolerance = 2 * time.Millisecond // of the clock on which a deadline is told
	switch class := classNames[t.class]; {
	case t.class == classHeld && t.wait == 0:
	case t.class == classDeadline && t.deadline != history.Never:
		if early := t.deadline - tolerance - a.Return; early > 0 {
			l.note("O7", "attempt %v: its deadline was over %v too early", t.id, early)
		}
	case t.class == classTimeout && t.wait > 0 && a.Return < a.Call+t.wait:
		l.note("O7", "attempt %v: its wait was over %v too early", t.id, a.Call+t.wait-a.Return)
	case t.class == classHeld || t.class == classDeadline || !allowed(class):
		l.note("O7", "attempt %v, wait %v, deadline %v, failed: %s", t.id, t.wait, told(t.deadline), class)
	}
}

// told is a time as text.
func told(at time.Duration) string {
	if at == history.Never {
		return "never"
	}
	return at.String()
}
