package fleet

import (
	"context"
	"fmt"
	"slices"
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
		beat           time.Duration // when it last told how late it was, or when it died
		finds          string        // or ""
	}{
		{name: "held, no wait", deadline: never, class: classHeld, back: ms},
		{name: "held, and it waits", wait: patient, deadline: never, class: classHeld, back: ms, finds: "held"},
		{name: "no wait, late", deadline: never, class: classHeld, back: backendWait + grace + ms, finds: "later"},
		{name: "no wait, late for a lock", deadline: never, class: classes, back: backendWait + grace + ms, finds: "later"},
		{name: "backend, allowed", wait: patient, deadline: never, class: classBackend, back: ms},
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
			l.answers(deaths, func(class string) bool { return slices.Contains([]string{"backend", "timeout"}, class) })
			if found := fmt.Sprint(l.found); (c.finds == "") != (len(l.found) == 0) || !strings.Contains(found, c.finds) {
				t.Errorf("found %s, want %q", found, c.finds)
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
