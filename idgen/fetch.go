package idgen

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// fetch is one call of Redis, for one segment. All callers that have no number
// left share it.
type fetch struct {
	cancel  context.CancelFunc
	waiters int           // callers who wait for it
	done    chan struct{} // closed at the end
	err     error         // valid after done
}

// need is what a caller waits for.
type need struct {
	fetch *fetch
	count int64 // how many numbers the caller wants of it
	// other: the fetch is for somebody else, and only in the way. How it ends is
	// no concern of the caller.
	other bool
}

// fetches is what a generator that takes its numbers from Redis in segments has
// to do with calls and with waiting for them. There is one fetch at a time.
type fetches struct {
	mu       sync.Mutex // guards the generator, too
	inFlight *fetch     // under way, or nil
	demand   int64      // how many numbers waiting callers want
	closed   bool
	closing  chan struct{} // closed by close
	running  sync.WaitGroup
}

func newFetches() fetches { return fetches{closing: make(chan struct{})} }

// start starts a fetch. s.mu is held and no other fetch is under way. When call
// has returned, arrive judges its outcome, with s.mu held; what arrive returns is
// the outcome for those who wait.
//
// The call gets a goroutine of its own, because go-redis does not end with its context
// while it reads; callers wait for the fetch and for their own context. It is
// cut loose from the cancellation of the caller who happened to be first, but
// keeps its values, for tracing.
func (s *fetches) start(ctx context.Context, call func(context.Context) error, arrive func(error) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t := &fetch{cancel: cancel, done: make(chan struct{})}
	s.inFlight = t
	s.running.Go(func() {
		defer cancel()
		err := call(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		t.err = arrive(err)
		s.inFlight = nil
		close(t.done)
	})
}

// enlist adds a caller to those that wait for the fetch under way. s.mu is held.
func (s *fetches) enlist(count int64, other bool) need {
	s.demand += count
	s.inFlight.waiters++
	return need{fetch: s.inFlight, count: count, other: other}
}

// await waits for a fetch. It returns nil when it is worth trying again: then the
// demand still has the caller's numbers in it, so that the first who is left
// empty-handed asks for those of all others. The caller takes them out by calling
// met with s.mu held.
func (s *fetches) await(ctx context.Context, n need) error {
	var err error
	select {
	case <-n.fetch.done:
		if !n.other {
			err = n.fetch.err
		}
	case <-s.closing:
		err = ErrClosed
	case <-ctx.Done():
		err = fmt.Errorf("idgen: waiting for Redis: %w", ended(ctx))
	}
	if err != nil {
		s.mu.Lock()
		n.fetch.waiters--
		s.met(n)
		s.mu.Unlock()
	}
	return err
}

// met takes what a caller has waited for out of the demand. s.mu is held.
func (s *fetches) met(n need) { s.demand -= n.count }

// ended is why ctx has ended: its error, and the cause if there is another.
func ended(ctx context.Context) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); cause != err {
		err = errors.Join(err, cause)
	}
	return err
}

// closeWait bounds how long Close waits for a fetch that is under way.
const closeWait = time.Second

// close ends all waiting and waits for the fetch under way, as the generators'
// Close promise. Under the lock it first calls last, the first time.
func (s *fetches) close(last func()) error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
		last()
	}
	t := s.inFlight
	if t != nil {
		t.cancel()
	}
	s.mu.Unlock()
	if t == nil {
		s.running.Wait() // no more than the last instructions of one
		return nil
	}
	timer := time.NewTimer(closeWait)
	defer timer.Stop()
	select {
	case <-t.done:
		s.running.Wait()
		return nil
	case <-timer.C:
		return fmt.Errorf("%w: a call is still under way %v after Close", ErrBackend, closeWait)
	}
}
