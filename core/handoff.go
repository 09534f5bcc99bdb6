package core

import (
	"fmt"
	"time"
)

const (
	defaultTenure = 10 * time.Millisecond
	// MaxTenure is the longest [Tenure].
	MaxTenure = time.Minute
)

// Tenure sets for how long one process may pass a lock on among its own
// requests, without a round trip to Redis, while another process waits for it;
// the default is 10 ms, the longest [MaxTenure]. It is the price of a handoff
// between processes that is shared by more requests the longer it is, and what a
// request in another process may have to wait beyond its place in line.
//
// Inside a process the order is always first come, first served. A tenure ends
// at a release: no holder is hurried. While no other process waits it has no
// end. Tenure(0) turns it off: each release goes to Redis, and processes take
// turns, one request each.
func Tenure(d time.Duration) Option {
	return lockerOption(func(l *lockerOptions) { l.tenure = d })
}

func checkTenure(d time.Duration) error {
	if d < 0 || d > MaxTenure {
		return fmt.Errorf("%w: Tenure %v is not between 0 and %v", ErrOption, d, MaxTenure)
	}
	return nil
}
