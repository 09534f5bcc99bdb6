package fleet

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/internal/torture/history"
)

func TestAnAttemptIsToldInTimeAndOnlyWhatItMayBe(t *testing.T) {
	const ms, never = time.Millisecond, history.Never
	const patient = time.Minute
	for _, c := range []struct {
		name           string
		wait, deadline time.Duration
		class          byte          // of the error; classes is a grant
		back           time.Duration // when it is told, or Never
		lag            lateness      // of the process
		died           time.Duration
		strict         bool          // no backend is allowed
		beat           time.Duration // when it last told how late it was, or when it died
		finds          string        // or ""
	}{
		{name: "held, no wait", deadline: never, class: classHeld, back: ms},
		{name: "held, and it waits", wait: patient, deadline: never, class: classHeld, back: ms, finds: "held"},
		{name: "no wait, late", deadline: never, class: classHeld, back: backendWait + grace + ms, finds: "later"},
		{name: "no wait, late for a lock", deadline: never, class: classes, back: backendWait + grace + ms, finds: "later"},
		{name: "backend, allowed", wait: patient, deadline: never, class: classBackend, back: ms},
		{name: "backend, not allowed", wait: patient, deadline: never, class: classBackend, back: ms, strict: true, finds: "backend"},
		{name: "backend, told to one who was stopped", wait: patient, deadline: never, class: classBackend, back: ms, strict: true,
			lag: lateness{at: ms, by: 600 * ms}},
		{name: "full, not allowed", wait: patient, deadline: never, class: classQueueFull, back: ms, finds: "queue full"},
		{name: "deadline", wait: patient, deadline: 100 * ms, class: classDeadline, back: 100 * ms},
		{name: "deadline, none", wait: patient, deadline: never, class: classDeadline, back: 100 * ms, finds: "deadline"},
		{name: "deadline, too early", wait: patient, deadline: 100 * ms, class: classDeadline, back: 50 * ms, finds: "early"},
		{name: "deadline, late", wait: patient, deadline: 100 * ms, class: classDeadline, back: 400 * ms, finds: "later"},
		{name: "deadline, late for a lock", wait: patient, deadline: 100 * ms, class: classes, back: 400 * ms, finds: "later"},
		{name: "deadline, late as the process", wait: patient, deadline: 100 * ms, class: classDeadline, back: 900 * ms,
			lag: lateness{at: 850 * ms, by: 700 * ms}},
		{name: "deadline, the process was late before", wait: patient, deadline: 700 * ms, class: classDeadline, back: 1200 * ms,
			lag: lateness{at: 650 * ms, by: 600 * ms}, finds: "later"},
		{name: "wait over, allowed", wait: patient, deadline: never, class: classTimeout, back: patient},
		{name: "wait over, too early", wait: patient, deadline: never, class: classTimeout, back: patient - ms, finds: "early"},
		{name: "wait over, late", wait: patient, deadline: never, class: classTimeout, back: patient + grace + ms, finds: "later"},
		{name: "wait over, stopped as it began", wait: patient, deadline: never, class: classTimeout, back: patient + time.Second,
			lag: lateness{at: time.Second, by: time.Second}},
		{name: "killed at once", deadline: never, back: never, died: time.Second},
		{name: "killed when it should have returned", wait: patient, deadline: 100 * ms, back: never, died: time.Second, finds: "later"},
		{name: "killed, and silent since it had to return", wait: patient, deadline: 100 * ms, back: never, died: time.Second, beat: 300 * ms},
		{name: "told just before it was killed, and silent before that", wait: patient, deadline: 100 * ms, class: classDeadline, back: 900 * ms,
			died: time.Second, beat: 300 * ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLedger()
			const begun = 1000 * time.Second
			if c.deadline != never {
				c.deadline += begun
			}
			l.take(7, record{what: asked, attempt: 1, at: begun, token: uint64(c.wait), proven: c.deadline})
			switch {
			case c.back == never:
			case c.class == classes:
				l.take(7, record{what: granted, attempt: 1, at: begun + c.back})
			default:
				l.take(7, record{what: failed, class: c.class, attempt: 1, at: begun + c.back})
			}
			l.take(7, record{what: lagged, at: begun + c.lag.at, proven: c.lag.by})
			var deaths []death
			if c.died > 0 {
				// It is gone later, when it is reaped.
				deaths = []death{{7, begun + c.died, begun + c.died + time.Minute}}
				if c.beat == 0 {
					c.beat = c.died
				}
				l.take(7, record{what: lagged, at: begun + c.beat})
			}
			allowed := []string{"timeout", "backend"}
			if c.strict {
				allowed = allowed[:1]
			}
			l.answers(deaths, rules{allowed: allowed})
			if found := fmt.Sprint(l.found); (c.finds == "") != (len(l.found) == 0) || !strings.Contains(found, c.finds) {
				t.Errorf("found %s, want %q", found, c.finds)
			}
		})
	}
}

func TestAReleaseIsToldInTimeAndOnlyWhatItMayBe(t *testing.T) {
	const ms, never = time.Millisecond, history.Never
	const ttl = time.Second
	struck := rules{ttl: ttl, allowed: []string{"backend", "lost"}}
	for _, c := range []struct {
		name   string
		class  byte // of the error; classes is none
		proven time.Duration
		back   time.Duration // when it is told, or Never
		lag    lateness      // of the process
		redis  lateness      // and of Redis
		died   time.Duration
		beat   time.Duration // when it last told how late it was, or when it died
		rules  rules
		finds  string // or ""
	}{
		{name: "at once", class: classes, proven: ttl, back: ms},
		{name: "late", class: classes, proven: ttl, back: backendWait + grace + ms, finds: "later"},
		{name: "late as the process", class: classes, proven: ttl, back: backendWait + grace + 500*ms,
			lag: lateness{backendWait + 500*ms, 500 * ms}},
		{name: "lost", class: classLost, proven: -ms, back: ms, finds: "lost"},
		{name: "lost, and that may be", class: classLost, proven: -ms, back: ms, rules: struck},
		{name: "lost before the proof had ended", class: classLost, proven: ttl, back: ms, rules: struck, finds: "before"},
		{name: "lost, and Redis forgets", class: classLost, proven: ttl, back: ms, rules: rules{ttl: ttl, allowed: struck.allowed, forgets: true}},
		{name: "lost by a process that was late", class: classLost, proven: -ms, back: ms, rules: rules{ttl: ttl}, lag: lateness{-100 * ms, 400 * ms}},
		{name: "lost by a Redis that was late", class: classLost, proven: -ms, back: ms, rules: rules{ttl: ttl}, redis: lateness{-100 * ms, 400 * ms}},
		{name: "lost by a process that was late before", class: classLost, proven: -ms, back: ms, rules: rules{ttl: ttl}, lag: lateness{-2 * ttl, 400 * ms},
			finds: "lost"},
		{name: "backend", class: classBackend, proven: ttl, back: ms, finds: "backend"},
		{name: "backend, and that may be", class: classBackend, proven: ttl, back: ms, rules: struck},
		{name: "backend, told to one who was stopped", class: classBackend, proven: ttl, back: ms, rules: rules{ttl: ttl}, lag: lateness{0, 600 * ms}},
		{name: "released already", class: classOther, proven: ttl, back: ms, rules: struck, finds: "other"},
		{name: "lost, and killed before it could tell why", class: classLost, proven: -ms, back: ms, died: 10 * ms, beat: -ms},
		{name: "killed at once", proven: ttl, back: never, died: ms},
		{name: "killed when it should have returned", proven: ttl, back: never, died: 3 * time.Second, finds: "later"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLedger()
			const begun, freedAt = 990 * time.Second, 1000 * time.Second
			l.take(7, record{what: asked, attempt: 1, at: begun, token: uint64(time.Minute), proven: never})
			l.take(7, record{what: granted, attempt: 1, at: begun, proven: begun + ttl})
			l.take(7, record{what: proven, attempt: 1, proven: freedAt + c.proven})
			l.take(7, record{what: freed, attempt: 1, at: freedAt})
			l.take(7, record{what: lagged, at: freedAt + c.lag.at, proven: c.lag.by})
			l.redis.add(lateness{freedAt + c.redis.at, c.redis.by})
			var deaths []death
			if c.died > 0 {
				deaths = []death{{7, freedAt + c.died, freedAt + c.died}}
				if c.beat == 0 {
					c.beat = c.died
				}
				l.take(7, record{what: lagged, at: freedAt + c.beat})
			}
			switch {
			case c.back == never:
			case c.class == classes:
				l.take(7, record{what: back, attempt: 1, at: freedAt + c.back})
			default:
				l.take(7, record{what: unreturned, class: c.class, attempt: 1, at: freedAt + c.back})
			}
			l.answers(deaths, c.rules)
			if found := fmt.Sprint(l.found); (c.finds == "") != (len(l.found) == 0) || !strings.Contains(found, c.finds) {
				t.Errorf("found %s, want %q", found, c.finds)
			}
			if confirmed := l.attempts[0].Back != never; confirmed != (c.back != never && c.class == classes) {
				t.Errorf("confirmed: %v", confirmed)
			}
		})
	}
}

const classes = byte(len(classNames))

func TestTheClassOfAnErrorIsTheLibrarysWord(t *testing.T) {
	err := &core.AcquireError{Err: core.ErrBackend, Cause: context.DeadlineExceeded}
	for range 100 {
		if got := classNames[classOf(err)]; got != "backend" {
			t.Fatalf("the client's deadline makes it %q", got)
		}
	}
}
