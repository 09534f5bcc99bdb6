package core

import (
	"errors"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/clockwork"
	"github.com/latchkey-go/latchkey/core/internal/remote"
)

const (
	minCleanupPause    = 50 * time.Millisecond
	minMaxCleanupPause = time.Second
	maxMaxCleanupPause = time.Minute
)

// cleanup is an operation that is repeated until it is answered, or until what
// it ends must have expired by itself.
type cleanup struct {
	locker *RedisLocker
	op     remote.Op
	until  time.Time
	// thorough repeats also after an answer that found nothing: the operation
	// that this one undoes may still be under way, in a socket or a proxy.
	thorough bool
	// shared repeats even after one that found something, which may have been
	// another operation's work than of the one that is still under way.
	shared   bool
	maxPause time.Duration
	pause    time.Duration
	alarm    clockwork.Alarm
}

// cancel ends an entry in Redis, whatever it has become there, or may yet
// become if the answer to an attempt was never read. The caller holds mu.
func (l *RedisLocker) cancel(e *entry) {
	// It stood in line, or was granted, too late to count or not, by a question that
	// was answered; or more than one was not.
	stood := e.waited != nil && (e.waited.ticket != 0 || !e.waited.lapsed.IsZero())
	(&cleanup{
		locker: l, op: remote.Cancel(e.queue.names, e.wire), until: time.Now().Add(e.ttl),
		thorough: e.unread, shared: stood || e.unreads || e.lock != nil,
		// A lease of hours is not worth a command every second.
		maxPause: min(max(minMaxCleanupPause, e.ttl/10), maxMaxCleanupPause),
	}).run()
}

// disown gives back a lease in the name of an entry that is retired or was never
// ours. Should it fail, the next note or grant that names the entry repeats it.
func (l *RedisLocker) disown(key string, id remote.ID) {
	l.room.Do(remote.Release(l.room.Names(key), id, 0, 0, ""), func(remote.Answer) {})
}

// Due runs it again.
func (c *cleanup) Due() { c.run() }

func (c *cleanup) run() { c.locker.room.Do(c.op, c.answered) }

func (c *cleanup) answered(a remote.Answer) {
	done := a.Err == nil && (!c.thorough || !c.shared && a.Reply.Status != remote.Absent)
	if done || errors.Is(a.Err, remote.ErrRoomClosed) || time.Now().After(c.until) {
		return
	}
	c.pause = min(max(minCleanupPause, 2*c.pause), c.maxPause)
	c.locker.work.Set(&c.alarm, time.Now().Add(c.pause), c)
}
