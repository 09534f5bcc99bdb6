package core

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// MaxInspected is how many of the processes in line an [Inspection] lists.
const MaxInspected = 100

// LeaseInfo is a lease as Redis has it.
type LeaseInfo struct {
	// Key is the lock's key. It is data from requests: keep it out of metrics.
	Key string `json:"key"`
	// ID is of this lease and no other, before or after: see [OnlyLease]. A
	// process that passes a lock on among its own requests keeps the lease. ID is
	// empty, as Process and Holder are, if what is stored is not a lease.
	ID string `json:"id"`
	// Process is the Locker that has it: [Snapshot.Process] there.
	Process string `json:"process"`
	// Holder is the request that runs under it, as of its last renewal; nil if
	// it does not say.
	Holder *Holder `json:"holder,omitempty"`
	// TTL is what remains until it expires, if it is not renewed; negative if it
	// has no expiry: then it is not of this package's making.
	TTL time.Duration `json:"ttl_ns"`
	// Broken is set if an operator has broken it: see [RedisLocker.Break].
	Broken bool `json:"broken"`
	// Waiting is how many processes are in line behind it.
	Waiting int `json:"waiting"`
}

// Waiter is a process that is in line for a key, with all its requests.
type Waiter struct {
	// Process is the Locker that waits: [Snapshot.Process] there. It is empty, as
	// are all others but Since, if what is in line is not of this package's making.
	Process string `json:"process"`
	// Holder is the request that joined the line, which will be the holder; nil
	// if it does not say.
	Holder *Holder `json:"holder,omitempty"`
	// Since is when it joined the line, by the server's clock.
	Since time.Time `json:"since,omitzero"`
	// TTL is the time to live of the lease that it will have.
	TTL time.Duration `json:"ttl_ns"`
}

// Inspection is what Redis has for a key.
type Inspection struct {
	Key string `json:"key"`
	// Lease is nil if nobody holds the key.
	Lease *LeaseInfo `json:"lease"`
	// Waiting is how many processes are in line, Queue the first [MaxInspected] of
	// them. How many requests each of them has, it alone knows: see
	// [RedisLocker.Snapshot].
	Waiting int      `json:"waiting"`
	Queue   []Waiter `json:"queue"`
	// LastToken is the last fencing token that was reserved in the key's bucket,
	// for this key or another; zero if none was.
	LastToken uint64 `json:"last_token"`
	// At is when this was so, by the server's clock.
	At time.Time `json:"at"`
}

// Inspect tells who holds key and who is in line for it, as Redis has it: one
// round trip, which changes nothing there. A key that nobody holds is no error:
// its Lease is nil.
//
// It returns when ctx ends, whatever Redis does. Its error is an
// [*OperatorError] that matches [ErrBackend], [ErrClosed], [ErrKey] or ctx's own
// error.
func (l *RedisLocker) Inspect(ctx context.Context, key string) (*Inspection, error) {
	a, err := l.operate(ctx, key, backend.Inspect(l.backend.Names(key), MaxInspected))
	if err != nil {
		return nil, err
	}
	found := a.Reply.Found
	i := &Inspection{
		Key: key, Lease: leaseInfo(key, a.Reply), Waiting: a.Reply.Queued,
		Queue: make([]Waiter, 0, len(found.Line)), LastToken: found.Token, At: found.Now,
	}
	for _, p := range found.Line {
		i.Queue = append(i.Queue, Waiter{
			Process: string(p.Entry.Process()), Holder: decodeHolder(p.Entry.Meta()), Since: p.Since, TTL: p.Entry.TTL(),
		})
	}
	return i, nil
}

// leaseInfo describes the lease that an operator's operation has found, nil if
// there is none. (One that is empty is there, but not ours.)
func leaseInfo(key string, r backend.Reply) *LeaseInfo {
	const missing = -2 * time.Millisecond // PTTL's answer
	if r.Owner == "" && r.TTL == missing {
		return nil
	}
	return &LeaseInfo{
		Key: key, ID: string(r.Owner.ID()), Process: string(r.Owner.Process()), Holder: decodeHolder(r.Owner.Meta()),
		TTL: r.TTL, Broken: r.Owner.Broken(), Waiting: r.Queued,
	}
}
