package core

import (
	"fmt"
	"time"

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
