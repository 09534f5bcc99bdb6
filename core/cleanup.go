package core

import (
	"errors"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/clockwork"
	"github.com/latchkey-go/latchkey/core/internal/remote"
)

var errNoAnswer = errors.New("core: Redis did not answer in time")

const (
	minCleanupPause = 50 * time.Millisecond
	maxCleanupPause = time.Second
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
	pause    time.Duration
	alarm    clockwork.Alarm
}

// cancel ends an entry in Redis, whatever it has become there.
func (l *RedisLocker) cancel(e *entry) {
	(&cleanup{locker: l, op: remote.Cancel(e.queue.key, e.wire), until: time.Now().Add(e.ttl)}).run()
}

// cancelUnknown does so for an entry whose last attempt had no answer, and may
// yet arrive.
func (l *RedisLocker) cancelUnknown(e *entry) {
	(&cleanup{
		locker: l, op: remote.Cancel(e.queue.key, e.wire), until: time.Now().Add(e.ttl), thorough: true,
	}).run()
}

// disown gives back a lease in the name of an entry that is retired or was never
// ours. Should it fail, the next note or grant that names the entry repeats it.
func (l *RedisLocker) disown(key string, id remote.ID) {
	l.room.Do(remote.ReleaseUnknown(key, id), func(remote.Answer) {})
}

func (c *cleanup) run() { c.locker.room.Do(c.op, c.answered) }

func (c *cleanup) answered(a remote.Answer) {
	done := a.Err == nil && (!c.thorough || a.Reply.Status != remote.Absent)
	if done || errors.Is(a.Err, remote.ErrRoomClosed) || time.Now().After(c.until) {
		return
	}
	c.pause = min(max(minCleanupPause, 2*c.pause), maxCleanupPause)
	c.locker.work.Set(&c.alarm, time.Now().Add(c.pause), c.run)
}
