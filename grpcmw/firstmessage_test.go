package grpcmw_test

import (
	"context"
	"errors"
	"runtime"
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
	"github.com/latchkey-go/latchkey/idgen"
)

// fakeStream is a server stream without a server, for handlers that generated
// code would never make.
type fakeStream struct {
	ctx     context.Context
	trailer metadata.MD
	sent    int
}

func (s *fakeStream) SetHeader(metadata.MD) error  { return nil }
func (s *fakeStream) SendHeader(metadata.MD) error { return nil }
func (s *fakeStream) SetTrailer(md metadata.MD)    { s.trailer = metadata.Join(s.trailer, md) }
func (s *fakeStream) Context() context.Context     { return s.ctx }
func (s *fakeStream) SendMsg(any) error            { s.sent++; return nil }
func (s *fakeStream) RecvMsg(m any) error {
	m.(*testpb.StreamingOutputCallRequest).Payload = &testpb.Payload{Body: []byte("7")}
	return nil
}

func byRequest(t testing.TB, l core.Locker, opts ...grpcmw.Option) grpc.StreamServerInterceptor {
	t.Helper()
	return mustNew(t, l, append(opts, grpcmw.For(serverStream, grpcmw.KeyOf(streamOrderOf)))...).Stream()
}

var serverInfo = &grpc.StreamServerInfo{FullMethod: serverStream, IsServerStream: true}

func receive(s grpc.ServerStream) error { return s.RecvMsg(new(testpb.StreamingOutputCallRequest)) }

func TestAHandlerThatDoesWithoutItsRequestFails(t *testing.T) {
	for name, handler := range map[string]func(grpc.ServerStream) error{
		"it returns at once": func(grpc.ServerStream) error { return nil },
		"it sends at once":   func(s grpc.ServerStream) error { return s.SendMsg(nil) },
		"it sends and does not look": func(s grpc.ServerStream) error {
			_ = s.SendMsg(nil)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &fakeStream{ctx: t.Context()}
			err := byRequest(t, locktest.New())(nil, s, serverInfo, func(_ any, s grpc.ServerStream) error { return handler(s) })
			if a := answerOf(t, err, nil); a.code != codes.Internal || a.reason != core.ReasonInternal || s.sent != 0 {
				t.Errorf("got %v, %d messages sent", err, s.sent)
			}
		})
	}
}

func TestADenialStandsWhateverTheHandlerMakesOfIt(t *testing.T) {
	fake := locktest.New()
	defer fake.Hold(serverStreamKey)()
	s := &fakeStream{ctx: t.Context()}
	err := byRequest(t, fake, grpcmw.Wait(0))(nil, s, serverInfo, func(_ any, s grpc.ServerStream) error {
		for range 2 {
			if err := receive(s); status.Code(err) != codes.Aborted {
				t.Errorf("RecvMsg: %v", err)
			}
		}
		if err := s.SendMsg(nil); status.Code(err) != codes.Aborted {
			t.Errorf("SendMsg: %v", err)
		}
		return nil
	})
	if a := answerOf(t, err, s.trailer); a.code != codes.Aborted || a.reason != core.ReasonHeld || len(a.pushback) != 1 || s.sent != 0 {
		t.Errorf("got %v, %+v, %d messages sent", err, a, s.sent)
	}
}

func TestTheStreamsContextChangesToTheLocksWithTheRequest(t *testing.T) {
	err := byRequest(t, locktest.New())(nil, &fakeStream{ctx: t.Context()}, serverInfo, func(_ any, s grpc.ServerStream) error {
		if _, locked := core.FromContext(s.Context()); locked {
			t.Error("locked before the request")
		}
		if err := receive(s); err != nil {
			return err
		}
		if _, locked := core.FromContext(s.Context()); !locked {
			t.Error("not locked after the request")
		}
		return s.SendMsg(nil)
	})
	if err != nil {
		t.Error(err)
	}
}

// As many interceptors do: they give the handler a stream with a context made of
// the one that they find.
func TestAnInterceptorInsideMayKeepTheContextOfTheOpening(t *testing.T) {
	type inner struct{}
	synctest.Test(t, func(t *testing.T) {
		fake := locktest.New()
		outer, end := context.WithTimeout(core.NewContext(t.Context(), nil), time.Hour)
		defer end()
		err := byRequest(t, fake)(nil, &fakeStream{ctx: outer}, serverInfo, func(_ any, s grpc.ServerStream) error {
			ctx, cancel := context.WithCancel(context.WithValue(s.Context(), inner{}, 1))
			defer cancel()
			if err := receive(s); err != nil {
				return err
			}
			if l, locked := core.FromContext(ctx); !locked || l.Key() != serverStreamKey {
				t.Errorf("the lock: %v", l)
			}
			if _, ok := idgen.FromContext(ctx); !ok {
				t.Error("no request ID")
			}
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) != time.Hour {
				t.Error("not the call's deadline")
			}
			fake.Lose(serverStreamKey)
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), core.ErrLost) || ctx.Err() != context.Canceled {
				t.Errorf("ended by %v, %v", ctx.Err(), context.Cause(ctx))
			}
			return nil
		})
		wantAnswer(t, err, nil, codes.Internal, core.ReasonLost, "")
	})
}

func TestAHandlerThatLeavesWhileItsLockIsWaitedForBreaksOffTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := locktest.New()
		release := fake.Hold(serverStreamKey)
		received := make(chan error, 1)
		err := byRequest(t, fake)(nil, &fakeStream{ctx: t.Context()}, serverInfo, func(_ any, s grpc.ServerStream) error {
			go func() { received <- receive(s) }()
			synctest.Wait()
			return nil // as if all had gone well
		})
		if status.Code(<-received) != codes.Canceled {
			t.Error("the wait was not broken off")
		}
		wantAnswer(t, err, nil, codes.Canceled, core.ReasonCanceled, "")
		release()
		if fake.Held(serverStreamKey) {
			t.Error("the lock was granted after all")
		}
	})
}

func TestARequestThatArrivesAfterTheHandlerIsNotLocked(t *testing.T) {
	fake := locktest.New()
	var stream grpc.ServerStream
	// The hook is called when the handler has returned and the call has not.
	interceptor := byRequest(t, fake, grpcmw.OnDeny(func(context.Context, *core.Denial) error {
		if err := receive(stream); err == nil || fake.Held(serverStreamKey) {
			t.Errorf("received after the handler's return: %v", err)
		}
		return nil
	}))
	err := interceptor(nil, &fakeStream{ctx: t.Context()}, serverInfo, func(_ any, s grpc.ServerStream) error {
		stream = s
		return nil
	})
	wantAnswer(t, err, nil, codes.Internal, core.ReasonInternal, "")
	if err := receive(stream); err == nil || fake.Held(serverStreamKey) {
		t.Errorf("received after the call: %v", err)
	}
}

func TestAHandlersGoexitReleases(t *testing.T) {
	fake := locktest.New()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = byRequest(t, fake)(nil, &fakeStream{ctx: context.Background()}, serverInfo, func(_ any, s grpc.ServerStream) error {
			if err := receive(s); err != nil || !fake.Held(serverStreamKey) {
				t.Errorf("not locked: %v", err)
			}
			runtime.Goexit()
			return nil
		})
		t.Error("Goexit was caught")
	}()
	<-done
	if fake.Held(serverStreamKey) {
		t.Error("still locked")
	}
}

// brokenLocker stands for a user's own with a fault.
type brokenLocker struct{ acquire func() }

func (l brokenLocker) Acquire(context.Context, string, ...core.AcquireOption) (core.Lock, error) {
	l.acquire()
	return nil, core.ErrBackend
}

func TestAFaultyLockersPanicReachesTheRecoveryInterceptor(t *testing.T) {
	defer func() {
		if p := recover(); p != "fault" {
			t.Errorf("recovered %v", p)
		}
	}()
	_ = byRequest(t, brokenLocker{func() { panic("fault") }})(nil, &fakeStream{ctx: t.Context()}, serverInfo,
		func(_ any, s grpc.ServerStream) error { return receive(s) })
	t.Error("no panic")
}

func TestALockerThatEndsItsGoroutineFailsTheCall(t *testing.T) {
	err := byRequest(t, brokenLocker{runtime.Goexit})(nil, &fakeStream{ctx: t.Context()}, serverInfo,
		func(_ any, s grpc.ServerStream) error { return receive(s) })
	if err == nil {
		t.Error("the call succeeded without a lock")
	}
}

func TestAFaultyKeyFunctionsPanicLeavesNothingLocked(t *testing.T) {
	fake := locktest.New()
	m := mustNew(t, fake, grpcmw.For(serverStream, grpcmw.KeyFunc(func(context.Context, any) (string, error) { panic("fault") })))
	defer func() {
		if p := recover(); p != "fault" {
			t.Errorf("recovered %v", p)
		}
	}()
	_ = m.Stream()(nil, &fakeStream{ctx: t.Context()}, serverInfo, func(_ any, s grpc.ServerStream) error { return receive(s) })
	t.Error("no panic")
}

func TestWhenTheBackendFailsAStreamIsDeniedOrRunsUnlocked(t *testing.T) {
	for policy, want := range map[core.BackendErrorPolicy]codes.Code{core.FailClosed: codes.Unavailable, core.FailOpen: codes.OK} {
		fake := locktest.New()
		fake.FailBackend(errors.New("no route to host"))
		s := &fakeStream{ctx: t.Context()}
		err := byRequest(t, fake, grpcmw.OnBackendError(policy))(nil, s, serverInfo, func(_ any, s grpc.ServerStream) error {
			if err := receive(s); err != nil {
				return err
			}
			if _, locked := core.FromContext(s.Context()); locked {
				t.Error("there is a lock")
			}
			return s.SendMsg(nil)
		})
		if status.Code(err) != want || (s.sent == 1) != (want == codes.OK) {
			t.Errorf("policy %v: %v, %d messages", policy, err, s.sent)
		}
	}
}
