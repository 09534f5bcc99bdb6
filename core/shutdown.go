package core

import (
	"context"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/internal/engine"
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
// goroutine of the Locker is left, and its [Observer] has heard of all that was cut
// off, except for calls that are stuck in the Redis client, which end with its
// timeouts or with it, or in the observer. It waits for those for little more than a
// second. (On a cluster, an operation that then still looks for its node ends within
// 128 ms.) A second call waits for the first, and lends it no patience: holders are
// cut off when the first of the contexts ends.
func (l *RedisLocker) Shutdown(ctx context.Context) error {
	l.mu.Lock()
	if l.machine.Closed() {
		l.mu.Unlock()
		return l.hasten(ctx)
	}
	tell(l.stepLocked(&engine.Event{Kind: engine.Close}, time.Now(), nil))
	drained := make(chan struct{})
	if l.machine.Holders() == 0 {
		close(drained)
	} else {
		l.drained = drained
	}
	listener := l.listener
	l.mu.Unlock()
	defer close(l.stopped)

	var err error
	select {
	case <-drained:
	case <-ctx.Done():
		err = l.cutOff(ctx)
		<-drained
	}
	l.dismantle(ctx, listener)
	return err
}

// Close is Shutdown without patience.
func (l *RedisLocker) Close() error { return l.Shutdown(ended) }

// hasten waits for the Shutdown that is under way, no longer for holders than
// ctx allows.
func (l *RedisLocker) hasten(ctx context.Context) error {
	select {
	case <-l.stopped:
		return nil
	case <-ctx.Done():
	}
	err := l.cutOff(ctx)
	<-l.stopped
	return err
}

// dismantle ends all that runs, however Redis is.
func (l *RedisLocker) dismantle(ctx context.Context, listener *backend.Listener) {
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeGrace)
	defer cancel()
	// An acquire may be answered after the cancel that was sent behind it, and
	// then needs another.
	_ = l.backend.Drain(grace)
	_ = l.backend.Close(grace) // what is unanswered now expires by itself
	if listener != nil {
		listener.Close()
	}
	l.background.Close()
	l.deadlines.Close()
	l.backend.Disconnect()
}

// cutOff takes the locks from all who hold one because ctx has ended, and ends
// the wait for them, unless that is over or another is at it.
func (l *RedisLocker) cutOff(ctx context.Context) error {
	var cut []notice
	l.mu.Lock()
	drained := l.drained
	l.drained = nil
	if drained != nil {
		cut = l.stepLocked(&engine.Event{Kind: engine.CutOff}, time.Now(), nil)
	}
	l.mu.Unlock()
	if drained == nil {
		return nil
	}
	for _, n := range cut {
		k := n.holder
		k.stop(n.cause)
		l.backend.Do(backend.Release(k.entry.names(), k.entry.wire.ID(), 0, 0, ""), func(backend.Answer) {})
	}
	close(drained) // only now that the releases are in the backend
	if len(cut) == 0 {
		return nil
	}
	return fmt.Errorf("core: holders cut off: %d: %w", len(cut), context.Cause(ctx))
}
