package engine

import "time"

const (
	minCleanupPause    = 50 * time.Millisecond
	minMaxCleanupPause = time.Second
	maxMaxCleanupPause = time.Minute
)

// Cleanup is an operation that is repeated until it has ended all that the
// questions about an entry may have brought, or what is left must have expired by
// itself.
type Cleanup struct {
	Entry *Entry
	Data  any // the driver's

	until time.Time // what is asked later than this may be left
	// thorough repeats also after an answer, whatever was found: a question that had
	// no answer may still be under way, in a socket or a proxy, and what was found may
	// be the work of another one.
	thorough bool
	maxPause time.Duration
	pause    time.Duration
}

// cancel ends an entry in Redis, whatever it has become there, or may yet
// become if the answer to an attempt was never read.
func (m *Machine) cancel(e *Entry, now time.Time) {
	m.runCleanup(&Cleanup{
		Entry: e, until: now.Add(e.TTL), thorough: e.mayExecute,
		// A lease of hours is not worth a command every second.
		maxPause: min(max(minMaxCleanupPause, e.TTL/10), maxMaxCleanupPause),
	})
}

func (m *Machine) runCleanup(c *Cleanup) {
	m.ask(Op{Kind: OpCancel, Entry: c.Entry, Cleanup: c})
}

func (m *Machine) onCleanupReply(c *Cleanup, a *Answer, now time.Time) {
	// A question about the entry that has no answer yet may be done long before that is
	// known to have failed; an answer is followed by a cleanup of its own, if it needs
	// one.
	done := a.Err == nil && !c.thorough && c.Entry.inFlight == 0
	// It counts when it was sent: it may have been done just after that.
	if done || a.Err != nil && a.Fault == Ended || a.Sent.After(c.until) {
		return
	}
	c.pause = min(max(minCleanupPause, 2*c.pause), c.maxPause)
	m.do(Effect{Kind: SetAlarm, Alarm: Retry, Cleanup: c, At: now.Add(c.pause)})
}
