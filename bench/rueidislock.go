package main

import (
	"context"
	"time"

	"github.com/redis/rueidis"
	"github.com/redis/rueidis/rueidislock"
)

type rueidislockLocker struct{ locks rueidislock.Locker }

// openRueidislock has github.com/redis/rueidis/rueidislock at its best, as its
// own README recommends for one Redis of at least 7.0.5: a majority of one key,
// client-side caching to be woken by a release instead of polling, and NOLOOP,
// so that a holder is not told of its own writes. All its commands share one
// pipelined connection, so there is no pool to size.
//
// TryNextAfter is when it gives up one key and tries the next: with one key
// there is none, and at the default of 20 ms a busy server makes it throw away
// grants that are on their way.
func openRueidislock(c circumstances) (locker, error) {
	l, err := rueidislock.NewLocker(rueidislock.LockerOption{
		ClientOption:   rueidis.ClientOption{InitAddress: c.addrs},
		KeyMajority:    1,
		NoLoopTracking: true,
		KeyValidity:    ttl,
		TryNextAfter:   time.Second,
	})
	if err != nil {
		return nil, err
	}
	return &rueidislockLocker{l}, nil
}

func (l *rueidislockLocker) lock(ctx context.Context, key string) (func() error, error) {
	_, unlock, err := l.locks.WithContext(ctx, key)
	if err != nil {
		return nil, err
	}
	// It waits for the release, and has no error to tell.
	return func() error { unlock(); return nil }, nil
}

func (l *rueidislockLocker) close() { l.locks.Close() }
