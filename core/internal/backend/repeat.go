package backend

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"
)

// once is a command that the client does not repeat by itself. A flight whose
// answer was lost may have been made, and only who repeats it knows that what
// the second answer says is not all that happened: a release that finds the
// lease gone, for one, has most likely given it back the first time.
type once struct{ *redis.Cmd }

// NoRetry is asked by the client.
func (once) NoRetry() bool { return true }

// repeats is how often a flight is made again that had no answer, and after what
// pause: as the client's options say, which it would else do itself.
type repeats struct {
	most     int
	min, max time.Duration
}

// repeatsOf returns what the client's options say; go-redis's defaults if they
// cannot be read.
func repeatsOf(rdb redis.UniversalClient) repeats {
	if c, ok := rdb.(interface{ Options() *redis.Options }); ok {
		o := c.Options() // with the defaults filled in
		return repeats{o.MaxRetries, o.MinRetryBackoff, o.MaxRetryBackoff}
	}
	return repeats{3, 10 * time.Millisecond, time.Second}
}

// again waits before attempt number n, from 1, after err; false if there is to
// be none.
func (p repeats) again(ctx context.Context, n int, err error) bool {
	most := p.most
	if errors.Is(err, errDead) {
		most = max(most, 1) // Redis is well: no option is against that
	}
	if err == nil || n > most || ctx.Err() != nil || errors.Is(err, redis.ErrClosed) || !isTransient(err) {
		return false
	}
	pause := min(p.max, p.min<<min(n-1, 16))
	if pause > 0 {
		pause = pause/2 + rand.N(pause/2+1)
	}
	select {
	case <-time.After(pause):
		return true
	case <-ctx.Done():
		return false
	}
}

// notSent reports whether err is that of a client whose connections are all in
// use: nothing was sent, and nothing is known of Redis.
func notSent(err error) bool {
	return errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted)
}

// NotSent reports whether an operation has not left this process because all
// connections of the client are in use by other commands.
func NotSent(err error) bool { return notSent(err) }

// mayBeDone reports whether, after an attempt with this error, its operations may
// have been done, or may be done yet.
func mayBeDone(err error) bool { return err != nil && !isServerReply(err) && !notSent(err) }

// isServerReply tells whether err is the server's answer: nothing was done.
func isServerReply(err error) bool {
	_, reply := errors.AsType[redis.Error](err)
	return reply
}

// isTransient tells whether an error may not come again: one of the network, or an
// answer by which a server says that it cannot serve for now.
func isTransient(err error) bool {
	if !isServerReply(err) {
		return true
	}
	for _, prefix := range []string{"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOSCRIPT", maxClients} {
		if redis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return false
}

// isRedirect tells whether a cluster's node has said that another has the keys, or
// is about to: nothing was done.
func isRedirect(err error) bool {
	return redis.HasErrorPrefix(err, "MOVED") || redis.HasErrorPrefix(err, "ASK")
}
