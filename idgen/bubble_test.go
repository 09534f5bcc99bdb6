package idgen

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// bubbleRedis is a client of a miniredis in a synctest bubble, whose clock can be
// wrong, and which can be away.
type bubbleRedis struct {
	redis.UniversalClient
	m *miniredis.Miniredis

	mu    sync.Mutex
	ahead time.Duration // the clock
	calls int
	down  bool
}

// bubble runs a test in simulated time, an hour after bubbleEpoch.
func bubble(t *testing.T, test func(t *testing.T, r *bubbleRedis)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m, counted := newRedis(t, time.Time{})
		time.Sleep(time.Hour)
		r := &bubbleRedis{UniversalClient: counted.DailyRedis.(redis.UniversalClient), m: m}
		r.AddHook(r)
		test(t, r)
	})
}

func (r *bubbleRedis) set(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (r *bubbleRedis) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls
}

var errDown = errors.New("connection refused")

func (r *bubbleRedis) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r *bubbleRedis) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (r *bubbleRedis) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		r.mu.Lock()
		r.calls++
		down := r.down
		r.m.SetTime(time.Now().Add(r.ahead))
		r.mu.Unlock()
		if down {
			cmd.SetErr(errDown)
			return errDown
		}
		return next(ctx, cmd)
	}
}

// hanging is what a generator sees of Redis while its own process, or the way to
// Redis, is stopped: calls return when it goes on, and ctx does not help.
type hanging struct {
	SnowflakeRedis
	turn chan struct{} // empty while it hangs
}

func newHanging(rdb SnowflakeRedis) *hanging {
	h := &hanging{SnowflakeRedis: rdb, turn: make(chan struct{}, 1)}
	h.goOn()
	return h
}

func (h *hanging) hang() { <-h.turn }
func (h *hanging) goOn() { h.turn <- struct{}{} }

func (h *hanging) EvalSha(ctx context.Context, sha1 string, keys []string, args ...any) *redis.Cmd {
	h.hang()
	defer h.goOn()
	return h.SnowflakeRedis.EvalSha(ctx, sha1, keys, args...)
}
