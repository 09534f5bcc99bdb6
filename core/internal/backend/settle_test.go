package backend_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/backend"
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

// inlineBackend returns a backend that makes inline calls, and a hook on its way.
func inlineBackend(t *testing.T) (*backend.Backend, *heed) {
	mini := locktest.StartMini(t)
	rdb := mini.Client(&redis.Options{ContextTimeoutEnabled: true})
	h := &heed{}
	rdb.AddHook(h)
	be := backend.New(rdb, prefix)
	c := make(chan backend.Answer, 1)
	be.Do(backend.Cancel(be.Names("w"), acquirer()), func(a backend.Answer) { c <- a })
	<-c
	synctest.Wait()
	return be, h
}

// Nothing is over as long as something of an inline call is not.
func TestCloseWaitsForAnInlineCallThatIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		be, h := inlineBackend(t)
		n := 0
		h.around = func(ctx context.Context, call func() error) error {
			if n++; n == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			time.Sleep(time.Millisecond)
			return call()
		}
		c := make(chan backend.Answer, 1)
		l, _ := be.Inline(backend.Acquire(be.Names("k"), acquirer(), true, manyMay), func(a backend.Answer) { c <- a })
		if l == nil {
			t.Fatal("not lone")
		}
		go l.Run()
		synctest.Wait()
		closeBackend(t, be)
		a := <-c
		if a.Err != nil || !a.Repeated {
			t.Errorf("%+v; want it done before Close returns", a)
		}
	})
}

func TestSettleWaitsForWhatTheAnswerToAnInlineCallCallsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		be, h := inlineBackend(t)
		h.around = func(ctx context.Context, call func() error) error {
			time.Sleep(time.Millisecond)
			return call()
		}
		c := make(chan backend.Answer, 1)
		e := acquirer()
		l, _ := be.Inline(backend.Acquire(be.Names("k"), e, true, manyMay), func(a backend.Answer) {
			time.Sleep(time.Millisecond)
			be.Do(backend.Cancel(be.Names("k"), e), func(a backend.Answer) { c <- a })
		})
		if l == nil {
			t.Fatal("not lone")
		}
		go l.Run()
		synctest.Wait()
		if err := be.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		closeBackend(t, be)
		if a := <-c; errors.Is(a.Err, backend.ErrClosed) {
			t.Errorf("%+v; Settle did not wait for it", a)
		}
	})
}
