package backend

import (
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// standbyPause is how often it is asked whether the caller's client works again.
const standbyPause = 100 * time.Millisecond

// standby is for a client that is the caller's, whose connections cannot be closed
// here: they may be dead, or be used up by other commands. While a flight has no
// answer over it, and a new connection has, operations go over a client of the
// batcher's own. Its fields are guarded by batcher.mu. A nil standby does nothing.
type standby struct {
	bt     *batcher
	theirs known
	own    *redis.Client // nil until it is first needed
	conns  *connections
	active bool
	closed bool
}

// known is a client of one server whose options are known: a *redis.Client, or a
// wrapper that embeds one.
type known interface {
	redis.UniversalClient
	Options() *redis.Options
}

// newStandby returns nil if the batcher's client cannot be made again.
func newStandby(l *batcher) *standby {
	theirs, ok := l.rdb.(known)
	if !ok {
		return nil
	}
	return &standby{bt: l, theirs: theirs}
}

// looksBusy returns n+1 if a call of the caller's client holds a connection, or waits
// for one; else 0. If none does, a hook of the client's holds our call back, which is
// the caller's wish.
func (s *standby) looksBusy(n int) int {
	stats := s.theirs.PoolStats()
	p := stats.PipelineStats
	if stats.TotalConns > stats.IdleConns || stats.PendingRequests > 0 || p != nil && p.TotalConns > p.IdleConns {
		return n + 1
	}
	return 0
}

// connections are those of its own client, nil if there is none.
func (s *standby) connections() *connections {
	if s == nil {
		return nil
	}
	s.bt.mu.Lock()
	defer s.bt.mu.Unlock()
	return s.conns
}

// markSent prepares for an attempt of t. The caller holds mu.
func (s *standby) markSent(t *flight) {
	if s != nil {
		t.givenUp = make(chan struct{})
	}
}

// attempt sends t's operations once. Over the caller's client, that may have to be
// given up.
func (s *standby) attempt(t *flight) error {
	l := s.bt
	l.mu.Lock()
	own, active, givenUp := s.own, s.active, t.givenUp
	l.mu.Unlock()
	if active {
		return l.send(l.backend.ctx, own, t.batch)
	}
	b := newBatch(slices.Clone(t.calls))
	ctx, cancel := context.WithCancel(l.backend.ctx) // by which an attempt that waits for a connection ends
	defer cancel()
	done := make(chan error, 1)
	go func() {
		err := errNotReturned // should a hook end the goroutine
		defer func() { done <- err }()
		err = l.send(ctx, l.rdb, b)
	}()
	select {
	case err := <-done:
		copy(t.results, b.results)
		if err == errNotReturned {
			group{batch: t.batch}.fail(err)
		}
		return err
	case <-givenUp:
		for _, k := range b.calls {
			k.kept = true
		}
		group{batch: t.batch}.fail(errDead)
		return errDead
	}
}

// takeOver has the batcher's own client carry operations from now on, and the flights
// give up that were sent over the caller's before the given time, if there are any.
// The caller holds mu.
func (s *standby) takeOver(before time.Time) {
	if s == nil || s.active || s.closed {
		return
	}
	stuck := false
	for _, t := range s.bt.inFlight {
		if !t.sent.IsZero() && t.sent.Before(before) && t.givenUp != nil {
			close(t.givenUp)
			t.givenUp = nil
			stuck = true
		}
	}
	if !stuck {
		return
	}
	if s.own == nil {
		s.own, s.conns = newClient(s.theirs.Options(), &s.bt.backend.panics)
	}
	s.active = true
	go s.awaitTheirs()
}

// awaitTheirs goes back to the caller's client when that answers.
func (s *standby) awaitTheirs() {
	l := s.bt
	for l.backend.ctx.Err() == nil {
		begun := time.Now()
		if err := s.ping(); (err == nil || isServerReply(err)) && time.Since(begun) < stalled {
			l.mu.Lock()
			s.active = false
			l.mu.Unlock()
			return
		}
		select {
		case <-time.After(standbyPause):
		case <-l.backend.ctx.Done():
		}
	}
}

func (s *standby) ping() (err error) {
	defer s.bt.backend.panics.Contain(clientHook, &err)
	ctx, cancel := context.WithTimeout(s.bt.backend.ctx, stalled)
	defer cancel()
	return s.theirs.Ping(ctx).Err()
}

// inUse reports whether operations go over the batcher's own client. The caller holds
// mu.
func (s *standby) inUse() bool { return s != nil && s.active }

// close closes the batcher's own client.
func (s *standby) close() {
	if s == nil {
		return
	}
	s.bt.mu.Lock()
	own, conns := s.own, s.conns
	s.closed = true
	s.bt.mu.Unlock()
	if own != nil {
		conns.stop()
		_ = own.Close()
	}
}
