// Package recipe is the lock that flash-sale articles teach: a Redis key with
// a random owner and an expiry, polled every millisecond until it is free, and
// deleted in a transaction if the owner is still the same.
//
// It is here to be compared with. Within its expiry it does exclude, and a
// release never deletes somebody else's lock. What it lacks shows in the
// figures: nobody is in line, so the wait is a lottery with a long tail; every
// waiter asks Redis a thousand times a second; nothing renews the expiry, so a
// holder that takes longer shares the key without knowing; and there is no
// fencing token with which the database could tell.
package recipe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

// ErrTimeout says that the lock was not free at any of the moments it was asked
// for.
var ErrTimeout = errors.New("recipe: the lock was not acquired in time")

// poll is the recipe's time between two attempts.
const poll = time.Millisecond

// Lock takes locks on keys. It is safe for concurrent use.
type Lock struct {
	rdb     redis.UniversalClient
	expiry  time.Duration
	timeout time.Duration
}

// New returns a lock whose keys expire after expiry, in whole seconds, and
// which is waited for no longer than timeout.
func New(rdb redis.UniversalClient, expiry, timeout time.Duration) *Lock {
	return &Lock{rdb: rdb, expiry: expiry, timeout: timeout}
}

// Do runs fn while holding key. Its error is fn's, [ErrTimeout], ctx's or
// Redis's.
func (l *Lock) Do(ctx context.Context, key string, fn func(context.Context) error) (err error) {
	owner, err := l.acquire(ctx, key)
	if err != nil {
		return err
	}
	// The articles know no cancellation. Released on ctx, the key of a request
	// whose client has gone would stay until it expires: that is not the
	// recipe's fault, so it is not held against it.
	defer func() {
		if failed := l.release(context.WithoutCancel(ctx), key, owner); failed != nil {
			err = errors.Join(err, failed)
		}
	}()
	return fn(ctx)
}

func (l *Lock) acquire(ctx context.Context, key string) (owner string, err error) {
	owner = uuid.NewString()
	deadline := time.Now().Add(l.timeout)
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for time.Now().Before(deadline) {
		// SetArgs rather than SetNX, which is deprecated with Redis itself:
		// SET key owner EX seconds NX.
		err := l.rdb.SetArgs(ctx, key, owner, redis.SetArgs{Mode: "NX", TTL: l.expiry}).Err()
		if err == nil {
			return owner, nil
		}
		if !errors.Is(err, redis.Nil) {
			return "", fmt.Errorf("recipe: acquire: %w", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
	return "", ErrTimeout
}

func (l *Lock) release(ctx context.Context, key, owner string) error {
	for {
		err := l.rdb.Watch(ctx, func(tx *redis.Tx) error {
			now, err := tx.Get(ctx, key).Result()
			if errors.Is(err, redis.Nil) || err == nil && now != owner {
				return nil // expired: it is no longer ours to delete
			}
			if err != nil {
				return err
			}
			_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.Del(ctx, key)
				return nil
			})
			return err
		}, key)
		if !errors.Is(err, redis.TxFailedErr) {
			if err != nil {
				return fmt.Errorf("recipe: release: %w", err)
			}
			return nil
		}
	}
}
