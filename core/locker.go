package core

import (
	"context"
	"time"
)

// Locker grants locks on keys. Transports, guards and users' own code are
// written against it, so that a fake (see locktest) or another implementation
// can take the place of [RedisLocker].
type Locker interface {
	// Acquire returns the lock on key, waiting in line for it if it is held.
	//
	// It returns at once when ctx ends, whatever the backend does. Its error
	// is an [*AcquireError] that matches one of [ErrHeld], [ErrWaitTimeout],
	// [ErrQueueFull], [ErrBackend], [ErrClosed], [ErrKey], [ErrSelfDeadlock],
	// [ErrOption] or ctx's own error: [context.DeadlineExceeded] also if ctx was
	// cancelled just as its deadline passed, as servers do whose client has then
	// given up. After an error the caller holds nothing
	// and owes nothing: what an unread or late answer may have granted is
	// given back in the background.
	//
	// The lock is held, and its lease renewed, until it is released, also when ctx
	// has ended: a holder may need time to come to its end. So a lock that is never
	// released is held for as long as the process lives. [RedisLocker.Do] and
	// [Guard.Run] release it in any case; [MaxHold] bounds it; and
	// context.AfterFunc(ctx, func() { lock.Release(ctx) }) ends it with ctx.
	Acquire(ctx context.Context, key string, opts ...AcquireOption) (Lock, error)
}

// Lock is one holder's lock on one key. It is safe for concurrent use.
type Lock interface {
	// Key is the key as given to Acquire.
	Key() string

	// Token is the fencing token: it is higher than that of every earlier
	// holder of this key. A store that remembers the highest token it has seen
	// and refuses lower ones is safe even from a holder that was paused past
	// its lease (Kleppmann, "How to do distributed locking", 2016). It
	// is never 0: that says that there is no lock, see [FromContext].
	Token() uint64

	// Context is derived from Acquire's context and carries the lock (see
	// [FromContext]). It is cancelled with cause [ErrLost], [ErrBroken] or
	// [ErrMaxHold] when the holder must stop, and [ErrReleased] on Release.
	Context() context.Context

	// Remaining is how long the lease is proven to last if it is never renewed
	// again. It is zero once the lock is lost or released.
	Remaining() time.Duration

	// Info tells how the lock was obtained.
	Info() Info

	// Release gives the lock back. The release is sent, and repeated until it
	// is answered or the lease must have expired, whatever becomes of ctx: ctx
	// bounds only how long Release waits for the answer. It returns nil once
	// the lease is given back, also by a holder that was told to stop in time
	// ([ErrBroken], [ErrMaxHold]), [ErrLost] if it was no longer ours, an error
	// that matches ctx's if ctx ended before the answer (the release goes on
	// in the background), and [ErrReleased] on a second call.
	Release(ctx context.Context) error
}

// Handoff is how a lock came to its holder.
type Handoff uint8

const (
	// HandoffNone is a lock that nobody else held.
	HandoffNone Handoff = iota
	// HandoffLocal is a lock passed on by the previous holder in this process.
	HandoffLocal
	// HandoffRemote is a lock passed on by a holder in another process.
	HandoffRemote
)

// String returns "none", "local" or "remote".
func (h Handoff) String() string {
	switch h {
	case HandoffLocal:
		return "local"
	case HandoffRemote:
		return "remote"
	default:
		return "none"
	}
}

// Info tells how an acquisition went: what a span, a denial or a log line
// needs to explain a wait.
type Info struct {
	// Waited is the time from the call of Acquire to its outcome.
	Waited time.Duration
	// Contended is true if the key was held, or others were in line, at entry.
	Contended bool
	// Position is the place in line at entry, counting every waiter known to
	// be ahead and this one; zero if not contended. The line of this process
	// is counted exactly, each other process in line as one.
	Position int
	// Handoff is how the lock was passed on.
	Handoff Handoff
	// Blocker is who held the lock when the wait began, nil if unknown or not
	// contended. A holder in another process is known as of its last renewal.
	Blocker *Holder
	// Predecessor is who held the lock directly before it was granted, nil if
	// unknown (it let its lease expire) or not contended.
	Predecessor *Holder
	// LeaseTTL is the time to live of the lease, from the settings in force.
	LeaseTTL time.Duration
	// RetryAfter is set on failure: when trying again is sensible, with jitter,
	// between 10 ms and 45 s. It goes by how long this holder has held so far, by
	// what holds of this key, or of its Name, have taken in this process, and by who
	// is in line. Where none has been seen it is a second at most, grows with the
	// holder's age, and stays below 6 s, so that a few attempts outlast a hold of
	// some seconds. With [ErrBackend] it is about a second. Zero if trying again is
	// of no use here.
	RetryAfter time.Duration
}

// Holder describes who holds or held a lock, from the metadata in its lease.
type Holder struct {
	Meta
	// Since is when the holder asked for the lock, by its own wall clock.
	// Only for people; no decision depends on it.
	Since time.Time `json:"since,omitzero"`
}
