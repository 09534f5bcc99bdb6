package core

import (
	"errors"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// silence tells why nothing is known of e just now: the last question failed, or
// is unanswered for longer than an answer takes. Nil if neither. The caller holds mu.
func (e *entry) silence() (sentinel, cause error) {
	l := e.queue.locker
	switch {
	case backend.NotSent(e.fault):
		return ErrQueueFull, e.fault
	case e.fault != nil:
		return ErrBackend, e.fault
	case e.unanswered.IsZero() || time.Since(e.unanswered) <= slowAnswer:
		return nil, nil
	case l.crowded(e, e.unanswered):
		return ErrQueueFull, errNotSent
	}
	return ErrBackend, l.noAnswer(e.queue)
}

// crowded reports whether what was asked for e at that time has no answer because it
// had to wait in this process, while Redis answers others. The caller holds mu.
func (l *RedisLocker) crowded(e *entry, asked time.Time) bool {
	if e.firstCall == nil || l.backend.Down(e.queue.names) != nil {
		return false
	}
	left, ok := l.sentAt(e)
	return !ok || left.Sub(asked) > slowAnswer && time.Since(left) <= slowAnswer
}

// noAnswer is the cause where a question has no answer: why Redis cannot be asked, if
// that is known. The caller holds mu.
func (l *RedisLocker) noAnswer(q *queue) error {
	if down, ok := errors.AsType[*backend.DownError](l.backend.Down(q.names)); ok && down.Cause != nil {
		return down.Cause
	}
	return errNoAnswer
}
