package engine

import "time"

// Validity is the time for which a lease is proven to be ours: from before the
// request that obtained or renewed it was sent, for its time to live less an
// allowance for clocks that run at different speeds. The server's expiry
// begins later, when the request arrives, so it cannot end earlier.
//
// The zero Validity has lapsed.
type Validity struct {
	from time.Time
	ttl  time.Duration
}

// drift is the allowance: 1 % for the speed of two clocks (real ones differ by
// less than 0.1 %), and 2 ms for the server's and the client's granularity.
func drift(ttl time.Duration) time.Duration { return ttl/100 + 2*time.Millisecond }

// Since returns the validity of a lease of ttl that was asked for at from.
func Since(from time.Time, ttl time.Duration) Validity { return Validity{from, ttl} }

// From is when it began.
func (v Validity) From() time.Time { return v.from }

// End is when it ends, on the monotonic clock.
func (v Validity) End() time.Time { return v.from.Add(v.ttl - drift(v.ttl)) }

// Remaining is how much of it is left at now, zero if it has lapsed.
//
// It goes by the monotonic clock, or by the wall clock if more of that has
// passed: Go's monotonic clock stands still while a machine is suspended
// (https://go.dev/issue/24595), and the server's does not. A wall clock that
// is set forward may therefore end a validity early; nothing prolongs it.
func (v Validity) Remaining(now time.Time) time.Duration {
	if v.from.IsZero() {
		return 0
	}
	// Never below zero: a time before it began leaves no more than all of it.
	elapsed := max(0, now.Sub(v.from), now.Round(0).Sub(v.from.Round(0)))
	return max(0, v.ttl-drift(v.ttl)-elapsed)
}

// Later returns the one of v and o that ends later.
func (v Validity) Later(o Validity) Validity {
	if o.End().After(v.End()) {
		return o
	}
	return v
}

// Renewed returns the validity of the same lease, renewed by a request that was
// sent at from.
func (v Validity) Renewed(from time.Time) Validity { return Validity{from, v.ttl} }
