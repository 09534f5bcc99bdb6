package core

import (
	"errors"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/internal/timer"
)

const (
	minCleanupPause    = 50 * time.Millisecond
	minMaxCleanupPause = time.Second
	maxMaxCleanupPause = time.Minute
)

// cleanup is an operation that is repeated until it has ended all that the
// questions about an entry may have brought, or what is left must have expired by
// itself.
type cleanup struct {
	locker *RedisLocker
	entry  *entry
	op     backend.Op
	until  time.Time // what is asked later than this may be left
	// thorough repeats also after an answer, whatever was found: a question that had
	// no answer may still be under way, in a socket or a proxy, and what was found may
	// be the work of another one.
	thorough bool
	maxPause time.Duration
	pause    time.Duration
	alarm    timer.Alarm
}

// cancel ends an entry in Redis, whatever it has become there, or may yet
// become if the answer to an attempt was never read. The caller holds mu.
func (l *RedisLocker) cancel(e *entry) {
	(&cleanup{
		locker: l, entry: e, op: backend.Cancel(e.queue.names, e.wire), until: time.Now().Add(e.ttl),
		thorough: e.mayExecute,
		// A lease of hours is not worth a command every second.
		maxPause: min(max(minMaxCleanupPause, e.ttl/10), maxMaxCleanupPause),
	}).run()
}

// releaseOrphan gives back a lease in the name of an entry that is retired or was never
// ours. Should it fail, the next note or grant that names the entry repeats it.
func (l *RedisLocker) releaseOrphan(key string, id backend.ID) {
	l.backend.Do(backend.Release(l.backend.Names(key), id, 0, 0, ""), func(backend.Answer) {})
}

// Due runs it again.
func (c *cleanup) Due() { c.run() }

func (c *cleanup) run() { c.locker.backend.Do(c.op, c.answered) }

func (c *cleanup) answered(a backend.Answer) {
	done := a.Err == nil && !c.thorough && !c.awaited()
	// It counts when it was sent: it may have been done just after that.
	if done || errors.Is(a.Err, backend.ErrClosed) || a.Sent.After(c.until) {
		return
	}
	c.pause = min(max(minCleanupPause, 2*c.pause), c.maxPause)
	c.locker.background.Set(&c.alarm, time.Now().Add(c.pause), c)
}

// awaited tells whether a question about the entry has no answer yet. It may be done
// long before that is known to have failed; an answer is followed by a cleanup of
// its own, if it needs one.
func (c *cleanup) awaited() bool {
	c.locker.mu.Lock()
	defer c.locker.mu.Unlock()
	return c.entry.inFlight > 0
}
