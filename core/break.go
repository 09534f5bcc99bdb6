package core

import (
	"context"
	"errors"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// BreakOption narrows what [RedisLocker.Break] and [RedisLocker.BreakNow] do.
type BreakOption interface{ applyBreak(*breakOptions) }

type breakOptions struct{ only *string }

type breakOption func(*breakOptions)

func (o breakOption) applyBreak(b *breakOptions) { o(b) }

// OnlyLease breaks the lease with this [LeaseInfo.ID] and no other: the one that
// an operator has looked at. If another is there by now, the error is
// [ErrLeaseChanged].
func OnlyLease(id string) BreakOption {
	return breakOption(func(b *breakOptions) { b.only = &id })
}

// errBrokenNow is why a holder must stop whose lease was taken by BreakNow, as far
// as it knows: that it is lost is certain.
var errBrokenNow = errors.Join(ErrLost, ErrBroken)

// Break takes the lock on key from its holder in the safe way. The lease is marked
// as broken, and is renewed and passed on inside its process no more. The holder's
// context is cancelled with cause [ErrBroken]: at once if its process is subscribed,
// as it is from its first wait on (on a cluster, from one in the key's bucket on, for
// a while), and at its next renewal if it is not or the message is lost, which is a
// third of its TTL later at most. Nobody else gets the lock before
// the holder has released it or the lease has expired, at the latest one TTL after
// its last renewal. So nothing overlaps, but a holder that does not heed its context
// keeps the key for that long: see [RedisLocker.BreakNow]. Those who wait, in its
// own process or elsewhere, keep their places.
//
// What is broken is the lease that is there when Break asks for it, or that of
// [OnlyLease]; if it changes meanwhile, another one is left alone. If a process
// passes the lease on among its own requests, whoever has it when the process
// hears of it is stopped. To break a lease again changes nothing.
//
// Break returns the lease as it is now. It returns when ctx ends, whatever Redis
// does; without its answer, after [ErrBackend] or ctx's own error, the lease may be
// broken or not: Break again, with OnlyLease. Its error is an [*OperatorError] that
// matches one of these, or [ErrNotHeld], [ErrLeaseChanged], [ErrNotLease],
// [ErrClosed], [ErrKey] or [ErrOption]; after those, nothing was broken.
func (l *RedisLocker) Break(ctx context.Context, key string, opts ...BreakOption) (*LeaseInfo, error) {
	return l.breakLease(ctx, key, false, opts)
}

// BreakNow takes the lock on key from its holder without waiting for it: the next
// in line has it at once. The old holder runs on until it is told, which takes as
// long as with [RedisLocker.Break], and for as long as it does not heed that: two
// holders may overlap. Use it if the holder is known to be dead or stuck, or if the
// store refuses the lower of two fencing tokens: the new holder's is the higher one.
//
// The cause of the old holder's context is [ErrLost]; it matches [ErrBroken], too,
// if its process has heard that it was an operator. BreakNow returns the lease as it
// was. All else is as with Break, except that a second call, without [OnlyLease],
// breaks the next lease.
func (l *RedisLocker) BreakNow(ctx context.Context, key string, opts ...BreakOption) (*LeaseInfo, error) {
	return l.breakLease(ctx, key, true, opts)
}

// breakLease looks first, and then breaks what it saw: an operation that does not
// say which lease it is about could, if it is repeated, break two.
func (l *RedisLocker) breakLease(ctx context.Context, key string, atOnce bool, opts []BreakOption) (*LeaseInfo, error) {
	var o breakOptions
	for _, opt := range opts {
		if opt != nil {
			opt.applyBreak(&o)
		}
	}
	if o.only != nil && *o.only == "" {
		return nil, &OperatorError{Key: key, Err: ErrOption, Cause: errors.New("OnlyLease without an ID")}
	}
	seen, err := l.Inspect(ctx, key)
	if err != nil {
		return nil, err
	}
	lease := seen.Lease
	switch {
	case lease == nil:
		return nil, &OperatorError{Key: key, Err: ErrNotHeld}
	case lease.ID == "":
		return nil, &OperatorError{Key: key, Err: ErrNotLease, Lease: lease}
	case o.only != nil && *o.only != lease.ID:
		return nil, &OperatorError{Key: key, Err: ErrLeaseChanged, Lease: lease}
	}
	a, err := l.operate(ctx, key, backend.Break(l.backend.Names(key), backend.ID(lease.ID), atOnce))
	switch {
	case err != nil:
		return nil, err
	case a.Reply.Status == backend.Broken:
		lease = leaseInfo(key, a.Reply)
	case a.Repeated:
		// The first attempt may have broken it. In any case it is gone now.
	case a.Reply.Status == backend.Missing:
		return nil, &OperatorError{Key: key, Err: ErrNotHeld}
	default:
		return nil, &OperatorError{Key: key, Err: ErrLeaseChanged, Lease: leaseInfo(key, a.Reply)}
	}
	lease.Broken = lease.Broken || !atOnce
	return lease, nil
}
