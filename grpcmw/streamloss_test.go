package grpcmw_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
)

func TestALostLockCancelsTheStreamAndFailsIt(t *testing.T) {
	for name, s := range lockedStreams() {
		t.Run(name, func(t *testing.T) {
			fake := locktest.New()
			var h handlers
			s.handle(&h, func(ss grpc.ServerStream) error {
				fake.Lose(s.key)
				<-ss.Context().Done()
				if cause := context.Cause(ss.Context()); !errors.Is(cause, core.ErrLost) {
					t.Errorf("cause %v", cause)
				}
				if err := ss.SendMsg(&testpb.StreamingOutputCallResponse{}); status.Code(err) != codes.Internal || !errors.Is(err, core.ErrLost) {
					t.Errorf("sending after the loss: %v", err)
				}
				if err := ss.RecvMsg(&testpb.StreamingOutputCallRequest{}); status.Code(err) != codes.Internal || !errors.Is(err, core.ErrLost) {
					t.Errorf("receiving after the loss: %v", err)
				}
				return nil
			})
			c := serve(t, mustNew(t, fake, grpcmw.For(s.method, s.Key)), &h)
			n, trailer, err := s.call(withOrder(timeout(t), "7"), c)
			wantAnswer(t, err, trailer, codes.Internal, core.ReasonLost, "-1")
			if n != 0 {
				t.Errorf("%d messages", n)
			}
		})
	}
}

func TestALostLockEndsAReceiveThatIsBlocked(t *testing.T) {
	for _, s := range []openStream{ofClient, ofBidi} {
		t.Run(s.name, func(t *testing.T) {
			fake := locktest.New()
			ready := make(chan struct{})
			var h handlers
			s.handle(&h, func(ss grpc.ServerStream) error {
				close(ready)
				err := ss.RecvMsg(&testpb.StreamingOutputCallRequest{}) // the client never sends
				if again := ss.RecvMsg(&testpb.StreamingOutputCallRequest{}); !errors.Is(err, core.ErrLost) || !errors.Is(again, core.ErrLost) {
					t.Errorf("received %v, and then %v", err, again)
				}
				return err
			})
			go func() {
				<-ready
				fake.Lose(s.key)
			}()
			c := serve(t, mustNew(t, fake, grpcmw.For(s.method, grpcmw.KeyTemplate("order:{metadata.x-order}"))), &h)
			_, trailer, err := s.call(withOrder(timeout(t), "7"), c)
			wantAnswer(t, err, trailer, codes.Internal, core.ReasonLost, "-1")
		})
	}
}

// silentStream is of a client that never sends the request it has announced.
type silentStream struct {
	fakeStream
	receiving atomic.Int32
}

func (s *silentStream) RecvMsg(any) error {
	s.receiving.Add(1)
	<-s.ctx.Done() // as in grpc-go: when the call is over
	return s.ctx.Err()
}

// blockedStream takes some messages, and then no more.
type blockedStream struct {
	fakeStream
	takes   int
	blocked func()
}

func (s *blockedStream) SendMsg(m any) error {
	if s.sent == s.takes {
		s.blocked()
		<-s.ctx.Done()
		return s.ctx.Err()
	}
	return s.fakeStream.SendMsg(m)
}

// Its client would take OK for the whole answer.
func TestAHandlerThatOverlooksAFailedSendHasNotSucceeded(t *testing.T) {
	for _, c := range []struct {
		takes int
		lost  bool // else an interceptor around this one has ended the stream's context
	}{{0, true}, {1, true}, {0, false}, {1, false}} {
		for name, key := range map[string]grpcmw.Key{
			"by its request": grpcmw.KeyOf(streamOrderOf), "by its metadata": grpcmw.KeyTemplate("order:{metadata.x-order}"),
		} {
			t.Run(fmt.Sprint(name, " after ", c.takes, ", lost ", c.lost), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					fake := locktest.New()
					m := mustNew(t, fake, grpcmw.For(serverStream, key), grpcmw.ClientTimeout(0))
					ctx, end := context.WithCancel(metadata.NewIncomingContext(t.Context(), metadata.Pairs("x-order", "7")))
					defer end()
					blocked := end
					if c.lost {
						blocked = func() { fake.Lose(serverStreamKey) }
					}
					ss := &blockedStream{fakeStream: fakeStream{ctx: ctx}, takes: c.takes, blocked: blocked}
					err := m.Stream()(nil, ss, serverInfo, func(_ any, s grpc.ServerStream) error {
						_ = receive(s)
						for range c.takes + 1 {
							_ = s.SendMsg(nil)
						}
						return nil
					})
					if c.lost {
						wantAnswer(t, err, ss.trailer, codes.Internal, core.ReasonLost, "-1")
					} else if status.Code(err) != codes.Canceled {
						t.Errorf("got %v", err)
					}
				})
			})
		}
	}
}

func TestAClientThatNeverSendsItsRequestHoldsItsLockForMaxHoldAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := locktest.New()
		m := mustNew(t, fake, grpcmw.For(serverStream, grpcmw.KeyTemplate("order:{metadata.x-order}"), grpcmw.MaxHold(time.Minute), grpcmw.ClientTimeout(0)))
		ctx, end := context.WithCancel(metadata.NewIncomingContext(t.Context(), metadata.Pairs("x-order", "7")))
		defer end()
		start := time.Now()
		silent := &silentStream{fakeStream: fakeStream{ctx: ctx}}
		err := m.Stream()(nil, silent, serverInfo, func(_ any, s grpc.ServerStream) error {
			_ = receive(s)
			return receive(s)
		})
		if time.Since(start) != time.Minute || fake.Held(serverStreamKey) {
			t.Errorf("after %v, held %v", time.Since(start), fake.Held(serverStreamKey))
		}
		wantAnswer(t, err, silent.trailer, codes.Internal, core.ReasonLost, "-1")
		synctest.Wait()
		if n := silent.receiving.Load(); n != 1 { // two at once are not safe
			t.Errorf("%d receives on the stream beneath", n)
		}
	})
}

func TestAClientThatGoesAwayEndsAReceiveThatIsBlocked(t *testing.T) {
	for _, s := range []openStream{ofClient, ofBidi} {
		t.Run(s.name, func(t *testing.T) {
			fake := locktest.New()
			ctx, cancel := context.WithCancel(withOrder(timeout(t), "7"))
			received := make(chan error, 1)
			var h handlers
			s.handle(&h, func(ss grpc.ServerStream) error {
				cancel()
				err := ss.RecvMsg(&testpb.StreamingOutputCallRequest{})
				if again := ss.RecvMsg(&testpb.StreamingOutputCallRequest{}); status.Code(again) != codes.Canceled {
					t.Errorf("received again: %v", again)
				}
				received <- err
				return err
			})
			c := serve(t, mustNew(t, fake, grpcmw.For(s.method, grpcmw.KeyTemplate("order:{metadata.x-order}"))), &h)
			if _, _, err := s.call(ctx, c); status.Code(err) != codes.Canceled {
				t.Errorf("the client sees %v", err)
			}
			if err := <-received; status.Code(err) != codes.Canceled {
				t.Errorf("the handler sees %v", err)
			}
			if err := fake.AwaitFree(timeout(t), s.key); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestALossAfterAMessageWasSentKeepsTheHandlersResultOrFails(t *testing.T) {
	for _, policy := range []grpcmw.LossPolicy{grpcmw.KeepResult, grpcmw.FailStream} {
		for name, s := range map[string]struct {
			openStream
			grpcmw.Key
		}{
			"by its request":  {ofServer, grpcmw.KeyOf(streamOrderOf)},
			"by its metadata": {ofBidi, grpcmw.KeyTemplate("order:{metadata.x-order}")},
		} {
			for _, c := range []struct {
				name   string
				result func(context.Context) error
				code   codes.Code
				own    bool // the handler's result is kept
			}{
				{"success", func(context.Context) error { return nil }, codes.OK, true},
				{"a status", func(context.Context) error { return status.Error(codes.NotFound, "mine") }, codes.NotFound, true},
				{"its context's error", func(ctx context.Context) error { return ctx.Err() }, codes.Internal, false},
				{"its context's cause", func(ctx context.Context) error { return context.Cause(ctx) }, codes.Internal, false},
				{"a cancelled call to another server", func(ctx context.Context) error { return status.FromContextError(ctx.Err()).Err() }, codes.Internal, false},
			} {
				t.Run(name+", "+c.name, func(t *testing.T) {
					fake := locktest.New()
					var h handlers
					s.handle(&h, func(ss grpc.ServerStream) error {
						if err := ss.SendMsg(&testpb.StreamingOutputCallResponse{}); err != nil {
							t.Error(err)
						}
						fake.Lose(s.key)
						<-ss.Context().Done()
						return c.result(ss.Context())
					})
					client := serve(t, mustNew(t, fake, grpcmw.For(s.method, s.Key), grpcmw.OnLossAfterSend(policy)), &h)
					n, trailer, err := s.call(withOrder(timeout(t), "7"), client)
					if n != 1 {
						t.Errorf("%d messages", n)
					}
					if c.own && policy == grpcmw.KeepResult {
						wantAnswer(t, err, trailer, c.code, "", "")
					} else {
						wantAnswer(t, err, trailer, codes.Internal, core.ReasonLost, "-1")
					}
				})
			}
		}
	}
}
