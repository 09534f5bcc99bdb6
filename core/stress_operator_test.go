package core

import (
	"errors"
	"sync"
	"time"
)

// operate has an operator break leases at random, in the safe way, over a way to
// Redis that has faults, too, until stop is called.
func (s *stress) operate() (stop func()) {
	l := s.locker()
	done := make(chan struct{})
	var operator sync.WaitGroup
	operator.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(s.upTo(100 * time.Millisecond)):
			}
			s.breakOne(l)
		}
	})
	return func() {
		close(done)
		operator.Wait()
	}
}

func (s *stress) breakOne(l *RedisLocker) {
	key := stressKey(s.below(stressKeys))
	var opts []BreakOption
	if s.below(2) == 0 {
		i, err := l.Inspect(s.t.Context(), key)
		if err != nil || i.Lease == nil {
			return
		}
		time.Sleep(s.upTo(20 * time.Millisecond))
		opts = append(opts, OnlyLease(i.Lease.ID))
	}
	lease, err := l.Break(s.t.Context(), key, opts...)
	switch {
	case err == nil && lease.Broken:
		s.breaks.Add(1)
	case err == nil:
		s.t.Errorf("not broken: %+v", lease)
	case !errors.Is(err, ErrNotHeld) && !errors.Is(err, ErrLeaseChanged) && !errors.Is(err, ErrBackend):
		s.t.Errorf("Break: %v", err)
	}
}
