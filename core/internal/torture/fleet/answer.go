package fleet

import (
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/torture/history"
)

// terms are those on which an attempt was made, the answer if it failed, and that
// to the release.
type terms struct {
	id         attemptID
	wait       time.Duration
	deadline   time.Duration // of its context, or Never
	failed     bool
	released   time.Duration // when Release has returned, or Never
	unreturned bool          // with an error
	class      byte          // of either error
}

// rules say which errors there may be.
type rules struct {
	allowed []string // besides "held" and "deadline"
	forgets bool     // Redis has forgotten leases
	ttl     time.Duration
}

func (r rules) allow(class byte) bool { return slices.Contains(r.allowed, classNames[class]) }

func (f *Fleet) rules(allowed []string) rules {
	return rules{allowed: allowed, forgets: f.forgets, ttl: f.work.TTL}
}

// backendWait is how long a call goes on without an answer from Redis: see "When
// things fail" in core's documentation.
const backendWait = 2 * time.Second

// due is when an attempt that was asked at a moment has to have returned.
func (t *terms) due(asked time.Duration) time.Duration {
	return min(t.deadline, asked+max(t.wait, backendWait))
}

// answers is O7: each attempt and each release came to an end in time, and with an
// error only that it may have. deaths says when processes were killed.
func (l *ledger) answers(deaths []death, rules rules) {
	ends := l.ends(deaths)
	for n := range l.terms {
		a, t := &l.attempts[n], &l.terms[n]
		end, died := ends[a.Process]
		if !died {
			end = history.Never
		}
		due, until := t.due(a.Call), min(a.Return, end)
		if late := l.late(a.Process, a.Call, due, until, due != t.deadline); late > 0 && until != history.Never {
			l.note("O7", "attempt %v, asked at %v, wait %v, deadline %v: it had not returned %v later than it had to",
				t.id, a.Call, t.wait, told(t.deadline), late)
		}
		// An error that was told after the end may have an excuse that was not.
		if t.failed && a.Return <= end {
			l.judgeError(a, t, rules)
		}
		if a.Freed == history.Never {
			continue
		}
		until = min(t.released, end)
		if late := l.late(a.Process, a.Freed, a.Freed+backendWait, until, true); late > 0 && until != history.Never {
			l.note("O7", "attempt %v, released at %v: Release had not returned %v later than it had to", t.id, a.Freed, late)
		}
		if t.unreturned && t.released <= end {
			l.judgeRelease(a, t, rules)
		}
	}
}

// ends are until when it is known of processes that were killed how late they were
// themselves: after that they told it no more.
func (l *ledger) ends(deaths []death) map[int]time.Duration {
	ends := map[int]time.Duration{}
	for _, d := range deaths {
		ends[d.process] = min(d.from, l.beats[uint32(d.process)])
	}
	return ends
}

// late is by how much more than its process a call was late, at a moment. own is set
// if the time that it has begins when the library has the call, and not when it was
// told.
func (l *ledger) late(process int, asked, due, until time.Duration, own bool) time.Duration {
	over := until - due - grace
	if over <= 0 {
		return 0
	}
	lag := l.lagOf(uint32(process))
	over -= lag.within(due, until)
	if over > 0 && own {
		over -= lag.stopped(asked)
	}
	return over
}

// judgeError judges what an attempt has failed with.
func (l *ledger) judgeError(a *history.Attempt, t *terms, rules rules) {
	switch class := classNames[t.class]; {
	case t.class == classHeld && t.wait == 0:
	case t.class == classDeadline && t.deadline != history.Never:
		if early := t.deadline - tolerance - a.Return; early > 0 {
			l.note("O7", "attempt %v: its deadline was over %v too early", t.id, early)
		}
	case t.class == classTimeout && t.wait > 0 && a.Return < a.Call+t.wait:
		l.note("O7", "attempt %v: its wait was over %v too early", t.id, a.Call+t.wait-a.Return)
	case t.class == classBackend && l.silent(a.Process, a.Call, a.Return):
	case t.class == classHeld || t.class == classDeadline || t.class == classLost || !rules.allow(t.class):
		l.note("O7", "attempt %v, wait %v, deadline %v, failed: %s", t.id, t.wait, told(t.deadline), class)
	}
}

// tolerance is that of the clock on which a deadline or a proof is told.
const tolerance = 2 * time.Millisecond

// judgeRelease judges what a release has failed with. A lock is lost only when its
// proof has ended, unless Redis forgets; and where nothing strikes renewals, only to
// a process, or a Redis, that was late for so long itself.
func (l *ledger) judgeRelease(a *history.Attempt, t *terms, rules rules) {
	switch {
	case t.class == classLost && !rules.forgets && t.released < a.Proven-tolerance:
		l.note("O7", "attempt %v, released at %v: lost, %v before its proof had ended", t.id, a.Freed, a.Proven-t.released)
	case t.class == classLost && rules.allow(t.class):
	case t.class == classLost && l.lag(a.Process, max(a.Proven, a.Return)-rules.ttl, t.released) > rules.ttl/3:
	case t.class == classBackend && (rules.allow(t.class) || l.silent(a.Process, a.Freed, t.released)):
	default:
		l.note("O7", "attempt %v, proven until %v, released at %v: Release failed: %s", t.id, a.Proven, a.Freed, classNames[t.class])
	}
}

// silent tells whether a process could find Redis silent during a call, though nothing
// struck it or the way to it: together they were late for most of the second after
// which the library gives up.
func (l *ledger) silent(process int, begin, end time.Duration) bool {
	const silence = time.Second
	return l.lag(process, begin-silence, end) > silence/2
}

// lag is how late a process and Redis were, between two moments.
func (l *ledger) lag(process int, from, to time.Duration) time.Duration {
	return l.lagOf(uint32(process)).within(from, to) + l.redis.within(from, to)
}

// told is a time as text.
func told(at time.Duration) string {
	if at == history.Never {
		return "never"
	}
	return at.String()
}
