package remote_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/remote"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// heed is a hook around each script call.
type heed struct {
	around func(ctx context.Context, call func() error) error
}

func (d *heed) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}
func (d *heed) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
func (d *heed) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() != "evalsha" || d.around == nil {
			return next(ctx, cmd)
		}
		return d.around(ctx, func() error { return next(ctx, cmd) })
	}
}

// heededRoom returns a room that makes lone trips, and a hook on its way.
func heededRoom(t *testing.T) (*remote.Room, *heed) {
	mini := locktest.StartMini(t)
	rdb := mini.Client(&redis.Options{ContextTimeoutEnabled: true})
	h := &heed{}
	rdb.AddHook(h)
	room := remote.NewRoom(rdb, prefix)
	c := make(chan remote.Answer, 1)
	room.Do(remote.Cancel(room.Names("w"), acquirer()), func(a remote.Answer) { c <- a })
	<-c
	synctest.Wait()
	return room, h
}

// Nothing is over as long as something of a lone trip is not.
func TestCloseWaitsForALoneTripThatIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		room, h := heededRoom(t)
		n := 0
		h.around = func(ctx context.Context, call func() error) error {
			if n++; n == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			time.Sleep(time.Millisecond)
			return call()
		}
		c := make(chan remote.Answer, 1)
		l, _ := room.Begin(remote.Acquire(room.Names("k"), acquirer(), true, manyMay), func(a remote.Answer) { c <- a })
		if l == nil {
			t.Fatal("not lone")
		}
		go l.Travel()
		synctest.Wait()
		closeRoom(t, room)
		a := <-c
		if a.Err != nil || !a.Repeated {
			t.Errorf("%+v; want it done before Close returns", a)
		}
	})
}

func TestSettleWaitsForWhatTheAnswerToALoneTripCallsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		room, h := heededRoom(t)
		h.around = func(ctx context.Context, call func() error) error {
			time.Sleep(time.Millisecond)
			return call()
		}
		c := make(chan remote.Answer, 1)
		e := acquirer()
		l, _ := room.Begin(remote.Acquire(room.Names("k"), e, true, manyMay), func(a remote.Answer) {
			time.Sleep(time.Millisecond)
			room.Do(remote.Cancel(room.Names("k"), e), func(a remote.Answer) { c <- a })
		})
		if l == nil {
			t.Fatal("not lone")
		}
		go l.Travel()
		synctest.Wait()
		if err := room.Settle(t.Context()); err != nil {
			t.Error(err)
		}
		closeRoom(t, room)
		if a := <-c; errors.Is(a.Err, remote.ErrRoomClosed) {
			t.Errorf("%+v; Settle did not wait for it", a)
		}
	})
}
