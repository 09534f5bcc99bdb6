package core

import (
	"cmp"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/timer"
	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

const (
	// MaxReplicas and MaxAckTimeout are the limits of [ReplicaAck].
	MaxReplicas   = 16
	MaxAckTimeout = time.Second
)

// ReplicaAck has a lock count as acquired only once n replicas have acknowledged
// the write that granted it, within timeout, by WAIT on the same connection
// (https://redis.io/docs/latest/commands/wait/); the default is none. A lock that
// was handed over by another process is renewed and acknowledged before its first
// holder runs, and a renewal without an acknowledgement does not prolong what is
// proven: when enough replicas are away for a TTL, holders are told [ErrLost].
//
// It narrows the window in which a failover forgets a lease that was just granted.
// It does not close it: the replica that takes over need not be one of those that
// have acknowledged, and may have lost what it had in memory. Only the fencing
// token does. It costs a round trip to the replicas for each call that grants or
// renews; requests that one process hands the lock on to pay nothing.
//
// n is from 1 to [MaxReplicas], timeout from 1 ms to [MaxAckTimeout] and less than
// the client's ReadTimeout, by which it is otherwise cut short. Without the
// acknowledgement Acquire's error matches [ErrBackend] and a [*ReplicaAckError],
// and the lease is given back. Those in line try again for up to 2 s first.
func ReplicaAck(n int, timeout time.Duration) Option {
	return lockerOption(func(l *lockerOptions) { l.ack = &backend.Ack{Replicas: n, Within: timeout} })
}

func checkAck(a *backend.Ack, rdb redis.UniversalClient) error {
	if a == nil {
		return nil
	}
	switch read := readTimeout(rdb); {
	case read > 0 && a.Within >= read:
		return fmt.Errorf("%w: ReplicaAck timeout %v is not below the client's ReadTimeout %v", ErrOption, a.Within, read)
	case a.Replicas < 1 || a.Replicas > MaxReplicas:
		return fmt.Errorf("%w: ReplicaAck of %d replicas, not 1 to %d", ErrOption, a.Replicas, MaxReplicas)
	case a.Within < time.Millisecond || a.Within > MaxAckTimeout:
		return fmt.Errorf("%w: ReplicaAck timeout %v is not between %v and %v", ErrOption, a.Within, time.Millisecond, MaxAckTimeout)
	}
	return nil
}

// readTimeout is the client's; zero if it has none, or it cannot be known.
func readTimeout(rdb redis.UniversalClient) time.Duration {
	switch c := rdb.(type) {
	case *redis.Client:
		if c != nil {
			return c.Options().ReadTimeout
		}
	case *redis.ClusterClient:
		if c != nil {
			return c.Options().ReadTimeout
		}
	}
	return 0
}

// ReplicaAckError is why a lock was not granted: too few replicas have
// acknowledged it in time, see [ReplicaAck].
type ReplicaAckError struct {
	// Wanted is how many were to acknowledge, Acked how many did, within Timeout.
	Wanted, Acked int
	Timeout       time.Duration
	// Cause is why it was not learned how many did, if so: the connection broke,
	// or the server refused WAIT.
	Cause error
}

func (e *ReplicaAckError) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("core: it was not learned whether %d replicas have the lock: %v", e.Wanted, e.Cause)
	}
	return fmt.Sprintf("core: %d of %d replicas have acknowledged the lock within %v", e.Acked, e.Wanted, e.Timeout)
}

// Unwrap returns the cause.
func (e *ReplicaAckError) Unwrap() error { return e.Cause }

// ErrorType is the error's name in telemetry.
func (e *ReplicaAckError) ErrorType() string { return "replica_ack" }

// unacked is the answer, as an error if it grants or prolongs a lease that too few
// replicas have acknowledged.
func unacked(r backend.Reply, err *backend.AckError) error {
	if err == nil || r.Status != backend.Granted && r.Status != backend.Renewed {
		return nil
	}
	return &ReplicaAckError{err.Replicas, err.Got, err.Within, err.Cause}
}

// confirmGrant renews a lease that another process has granted to e, so that replicas
// acknowledge it before anybody runs under it. The caller holds mu; e is asking or
// waiting.
//
// What is renewed may be another grant than this one, with other tokens: the lease
// may have expired before, and the entry, queued again, been granted again. It is
// this one as long as since, a moment before it was granted, is less than its time
// to live ago.
func (l *RedisLocker) confirmGrant(e *entry, g backend.Grant, since time.Time) {
	granted := timer.Since(since, e.ttl)
	l.expectAnswer(e)
	l.backend.Do(backend.Renew(e.queue.names, e.wire, "", 0), func(a backend.Answer) {
		l.mu.Lock()
		defer l.mu.Unlock()
		e.inFlight--
		late := unacked(a.Reply, a.Unacked)
		switch {
		case e.state == retired, e.state == held: // a poll was answered first
		case cmp.Or(a.Err, late) != nil:
			l.onFailure(e, cmp.Or(a.Err, late))
		case a.Reply.Status != backend.Renewed, granted.Remaining(time.Now()) <= 0:
			l.send(e) // it has expired meanwhile, or may have
		default:
			e.unanswered, e.fault = time.Time{}, nil
			e.others = g.Queued > 0 || a.Reply.Queued > 0
			l.grant(e, g.Tokens, a.Sent, HandoffRemote, decodeHolder(g.From))
		}
	})
}
