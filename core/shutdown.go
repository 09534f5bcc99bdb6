package core

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/remote"
)

// closeGrace is how long the end waits for answers to what was sent.
const closeGrace = time.Second

// Shutdown ends the Locker: it refuses new requests and those in line with
// [ErrClosed], and lets holders finish until ctx ends. Then the contexts of
// those who have not are cancelled (their cause matches [ErrLost] and
// [ErrClosed]) and their leases are given back, so that a holder that does not
// heed its context may overlap with the next one.
//
// It returns an error that tells how many were cut off, if any. Afterwards no
// goroutine of the Locker is left, except for calls that are stuck in the
// Redis client: they end with its timeouts, or with it. A second call waits
// for the first.
func (l *RedisLocker) Shutdown(ctx context.Context) error {
	var err error
	l.shutdown.Do(func() {
		err = l.finish(ctx)
		close(l.stopped)
	})
	<-l.stopped
	return err
}

// Close is Shutdown without patience.
func (l *RedisLocker) Close() error { return l.Shutdown(ended) }

func (l *RedisLocker) finish(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	for _, q := range l.queues {
		l.refuseAll(q, ErrClosed, nil)
		if e := q.entry; e != nil && e.life != held {
			l.retire(e)
		}
		l.tidy(q)
	}
	drained := make(chan struct{})
	if l.holders == 0 {
		close(drained)
	} else {
		l.drained = drained
	}
	listener := l.listener
	l.mu.Unlock()

	var err error
	select {
	case <-drained:
	case <-ctx.Done():
		if n := l.cutOff(); n > 0 {
			err = fmt.Errorf("core: %d locks were still held, and have been taken from their holders: %w", n, context.Cause(ctx))
		}
	}

	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeGrace)
	defer cancel()
	_ = l.room.Close(grace) // what is unanswered now expires by itself
	if listener != nil {
		listener.Close()
	}
	l.work.Close()
	l.deadlines.Close()
	return err
}

// cutOff takes the locks from all who hold one.
func (l *RedisLocker) cutOff() int {
	cause := errors.Join(ErrLost, ErrClosed)
	var cut []*lock
	l.mu.Lock()
	for _, e := range l.entries {
		if e.life == held && !e.lost {
			cut = append(cut, l.lose(e))
		}
	}
	l.mu.Unlock()
	for _, k := range cut {
		k.stop(cause)
		l.room.Do(remote.Release(k.key, k.entry.wire, k.token, k.entry.block, ""), func(remote.Answer) {})
	}
	return len(cut)
}
