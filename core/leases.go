package core

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// Leases goes over all leases under this Locker's [Prefix], of all processes, in no
// order: on a cluster over those of all masters. One that is taken or ends meanwhile,
// or whose slot moves to another node, may be among them or not; no key is there twice. It costs Redis a SCAN of all its keys,
// in small steps, and a look at each lease.
//
// After an error the iteration ends. The error is an [*OperatorError] that matches
// [ErrBackend], [ErrClosed] or ctx's own; it comes when ctx ends, whatever Redis
// does. There is one exception: what Redis refuses to tell about one key is an error
// with that Key, and the iteration goes on.
func (l *RedisLocker) Leases(ctx context.Context) iter.Seq2[*LeaseInfo, error] {
	return func(yield func(*LeaseInfo, error) bool) {
		scan := l.backend.Scan()
		for more := true; more; {
			var keys []string
			var err error
			if keys, more, err = l.page(ctx, scan); err != nil {
				yield(nil, err)
				return
			}
			if !l.describeAll(ctx, keys, yield) {
				return
			}
		}
	}
}

// page returns the next keys of a scan. The error is an *OperatorError.
func (l *RedisLocker) page(ctx context.Context, scan *backend.Scan) (keys []string, more bool, err error) {
	if down := l.backend.Outage(); down != nil {
		return nil, false, &OperatorError{Err: ErrBackend, Cause: down}
	}
	limited, cancel := context.WithTimeoutCause(ctx, backendTimeout, errNoAnswer)
	defer cancel()
	keys, more, err = scan.Next(limited)
	switch {
	case err == nil:
		return keys, more, nil
	case ctx.Err() != nil:
		return nil, false, &OperatorError{Err: ctx.Err(), Cause: context.Cause(ctx)}
	case limited.Err() != nil:
		return nil, false, &OperatorError{Err: ErrBackend, Cause: errNoAnswer}
	}
	err, cause := operatorFault(err)
	return nil, false, &OperatorError{Err: err, Cause: cause}
}

// described is the answer to the inspection of one of several keys.
type described struct {
	key string
	backend.Answer
}

// describeAll inspects keys and yields their leases, and returns whether to go on.
func (l *RedisLocker) describeAll(ctx context.Context, keys []string, yield func(*LeaseInfo, error) bool) bool {
	answers := make(chan described, len(keys))
	for _, key := range keys {
		l.backend.Do(backend.Inspect(l.backend.Names(key), 1), func(a backend.Answer) { answers <- described{key, a} })
	}
	timer := time.NewTimer(backendTimeout)
	defer timer.Stop()
	for range keys {
		var d described
		select {
		case d = <-answers:
		case <-ctx.Done():
			yield(nil, &OperatorError{Err: ctx.Err(), Cause: context.Cause(ctx)})
			return false
		case <-timer.C:
			yield(nil, &OperatorError{Err: ErrBackend, Cause: errNoAnswer})
			return false
		}
		if d.Err != nil {
			err, cause := operatorFault(d.Err)
			_, refused := errors.AsType[*backend.ScriptError](d.Err)
			if !yield(nil, &OperatorError{Key: d.key, Err: err, Cause: cause}) || !refused {
				return false
			}
			continue
		}
		if lease := leaseInfo(d.key, d.Reply); lease != nil && !yield(lease, nil) {
			return false
		}
	}
	return true
}
