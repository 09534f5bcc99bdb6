package idgen

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// trip is one errand to Redis, for one segment. All callers that have no number
// left share it.
type trip struct {
	cancel  context.CancelFunc
	waiters int           // callers who wait for it
	done    chan struct{} // closed at the end
	err     error         // valid after done
}

// need is what a caller waits for.
type need struct {
	trip  *trip
	count int64 // how many numbers the caller wants of it
	// other: the trip is for somebody else, and only in the way. How it ends is
	// no concern of the caller.
	other bool
}

// trips is what a generator that takes its numbers from Redis in segments has
// to do with calls and with waiting for them. There is one trip at a time.
type trips struct {
	mu      sync.Mutex // guards the generator, too
	trip    *trip      // under way, or nil
	demand  int64      // how many numbers waiting callers want
	closed  bool
	closing chan struct{} // closed by close
	running sync.WaitGroup
}

func newTrips() trips { return trips{closing: make(chan struct{})} }

// depart starts a trip. s.mu is held and no other trip is under way. When call
// has returned, arrive judges its outcome, with s.mu held; what arrive returns is
// the outcome for those who wait.
//
// The call gets a goroutine of its own, because go-redis does not heed contexts
// while it reads; callers wait for the trip and for their own context. It is
// cut loose from the cancellation of the caller who happened to be first, but
// keeps its values, for tracing.
func (s *trips) depart(ctx context.Context, call func(context.Context) error, arrive func(error) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t := &trip{cancel: cancel, done: make(chan struct{})}
	s.trip = t
	s.running.Go(func() {
		defer cancel()
		err := call(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		t.err = arrive(err)
		s.trip = nil
		close(t.done)
	})
}

// enlist adds a caller to those that wait for the trip under way. s.mu is held.
func (s *trips) enlist(count int64, other bool) need {
	s.demand += count
	s.trip.waiters++
	return need{trip: s.trip, count: count, other: other}
}

// await waits for a trip. It returns nil when it is worth trying again: then the
// demand still has the caller's numbers in it, so that the first who is left
// empty-handed asks for those of all others. The caller takes them out by calling
// met with s.mu held.
func (s *trips) await(ctx context.Context, n need) error {
	var err error
	select {
	case <-n.trip.done:
		if !n.other {
			err = n.trip.err
		}
	case <-s.closing:
		err = ErrClosed
	case <-ctx.Done():
		err = fmt.Errorf("idgen: waiting for Redis: %w", ended(ctx))
	}
	if err != nil {
		s.mu.Lock()
		n.trip.waiters--
		s.met(n)
		s.mu.Unlock()
	}
	return err
}

// met takes what a caller has waited for out of the demand. s.mu is held.
func (s *trips) met(n need) { s.demand -= n.count }

// ended is why ctx has ended: its error, and the cause if there is another.
func ended(ctx context.Context) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); cause != err {
		err = errors.Join(err, cause)
	}
	return err
}

// closeWait bounds how long Close waits for a trip that is under way.
const closeWait = time.Second

// close ends all waiting and waits for the trip under way, as the generators'
// Close promise. Under the lock it first calls last, the first time.
func (s *trips) close(last func()) error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
		last()
	}
	t := s.trip
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
