package backend

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// A cluster client that learns where the slots are asks one node after the other,
	// beginning with any, and waits for each until its ReadTimeout has passed. When it
	// has had no answer for hedgePause it is called again beside that, which begins
	// with another node: so that one which hangs does not hide the others.
	hedgePause = 100 * time.Millisecond
	maxHedges  = 8 // calls under way
	// minLoadPause is between two loads of the map of slots in a refresh.
	minLoadPause = 80 * time.Millisecond
)

// hedged calls f, and again after each hedgePause without an answer. It returns the
// first answer, or the error of ctx.
func hedged[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, maxHedges)
	again := time.NewTimer(hedgePause)
	defer again.Stop()
	for n := 0; ; n++ {
		if n < maxHedges {
			go func() {
				a := answer{err: errNotReturned}
				defer func() { answers <- a }()
				a.value, a.err = f()
			}()
			again.Reset(hedgePause)
		}
		select {
		case a := <-answers:
			return a.value, a.err
		case <-again.C:
		case <-ctx.Done():
			var none T
			return none, context.Cause(ctx)
		}
	}
}

// masterOf asks the client where a bucket is.
func (be *Backend) masterOf(ctx context.Context, bucket byte) (*redis.Client, error) {
	return hedged(ctx, func() (node *redis.Client, err error) {
		defer be.panics.Contain(clientHook, &err)
		return be.slotMap.rdb.MasterForKey(ctx, be.names.bases[bucket].fence)
	})
}

// load makes the client read the map of slots again. The client's ReloadState does
// nothing while an earlier one waits for a node that hangs.
func (m *slotMap) load() {
	rdb, ok := m.rdb.(interface {
		ForEachMaster(context.Context, func(context.Context, *redis.Client) error) error
	})
	if !ok {
		m.rdb.ReloadState(m.backend.ctx)
		return
	}
	ctx := m.backend.ctx
	_, _ = hedged(ctx, func() (_ struct{}, err error) { // what is not learnt is asked for again
		defer m.backend.panics.Contain(clientHook, &err)
		return struct{}{}, rdb.ForEachMaster(ctx, func(context.Context, *redis.Client) error { return nil })
	})
}
