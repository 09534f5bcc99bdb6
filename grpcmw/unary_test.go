package grpcmw_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
)

func TestUnaryCallsWithOneKeyNeverOverlapAndOthersDo(t *testing.T) {
	ctx := timeout(t)
	fake := locktest.New()
	m := mustNew(t, fake, grpcmw.For(unary, grpcmw.KeyOf(orderOf)))
	var inside, overlaps, calls atomic.Int32
	met := make(chan struct{})
	c := serve(t, m, &handlers{unary: func(ctx context.Context, r *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		switch orderOf(r) {
		case "order:a":
			met <- struct{}{} // only if b is inside as well
		case "order:b":
			<-met
		default:
			if inside.Add(1) > 1 {
				overlaps.Add(1)
			}
			calls.Add(1)
			inside.Add(-1)
		}
		return &testpb.SimpleResponse{}, nil
	}})
	var wg sync.WaitGroup
	call := func(id string) {
		wg.Go(func() {
			if _, err := c.UnaryCall(ctx, order(id)); err != nil {
				t.Errorf("order %s: %v", id, err)
			}
		})
	}
	for range 50 {
		call("7")
	}
	call("a")
	call("b")
	wg.Wait()
	if overlaps.Load() != 0 || calls.Load() != 50 {
		t.Errorf("%d overlaps in %d calls", overlaps.Load(), calls.Load())
	}
}

func TestTheHandlerFindsItsLockAndOthersSeeWhoHoldsIt(t *testing.T) {
	fake := locktest.New()
	ctx := timeout(t)
	inside, leave := make(chan core.Lock), make(chan struct{})
	var id string
	denials := make(chan *core.Denial, 1)
	m := mustNew(t, fake, grpcmw.For(unary, grpcmw.KeyOf(orderOf), grpcmw.Wait(0)), grpcmw.TrustRequestID(),
		grpcmw.OnDeny(func(_ context.Context, d *core.Denial) error { denials <- d; return nil }))
	c := serve(t, m, &handlers{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		l, _ := core.FromContext(ctx)
		inside <- l
		<-leave
		return &testpb.SimpleResponse{}, nil
	}})
	first := make(chan error, 1)
	go func() {
		id = "the-holder"
		_, err := c.UnaryCall(metadata.AppendToOutgoingContext(ctx, grpcmw.RequestIDKey, id), order("7"))
		first <- err
	}()
	l := <-inside
	if l == nil || l.Key() != unaryKey || l.Token() == 0 || l.Remaining() <= 0 {
		t.Errorf("the handler's lock: %+v", l)
	}
	if _, err := c.UnaryCall(ctx, order("7")); status.Code(err) != codes.Aborted {
		t.Errorf("second call: %v", err)
	}
	if d := <-denials; d.Holder == nil || d.Holder.RequestID != id {
		t.Errorf("the holder is %+v, want the request ID %q", d.Holder, id)
	}
	close(leave)
	if err := <-first; err != nil {
		t.Errorf("first call: %v", err)
	}
}

func TestTheHandlersOwnResultPassesThrough(t *testing.T) {
	fake := locktest.New()
	plain := errors.New("plain")
	for _, c := range []struct {
		name string
		err  error
		want codes.Code
	}{
		{"success", nil, codes.OK},
		{"a status", status.Error(codes.NotFound, "no such order"), codes.NotFound},
		{"an error without a status", plain, codes.Unknown},
		{"a status that wraps a denial", wrapped{}, codes.FailedPrecondition},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mustNew(t, fake, grpcmw.For(unary, grpcmw.KeyOf(orderOf)))
			resp := &testpb.SimpleResponse{Username: "kept"}
			got, err := m.Unary()(t.Context(), order("7"), &grpc.UnaryServerInfo{FullMethod: unary},
				func(context.Context, any) (any, error) { return resp, c.err })
			if got != resp || err != c.err || status.Code(err) != c.want {
				t.Errorf("got %v, %v", got, err)
			}
			if fake.Held(unaryKey) {
				t.Error("still locked")
			}
		})
	}
}

// wrapped is a handler's own status for a denial of a lock of its own.
type wrapped struct{}

func (wrapped) Error() string              { return "wrapped" }
func (wrapped) Unwrap() error              { return core.Denied(core.ErrHeld) }
func (wrapped) GRPCStatus() *status.Status { return status.New(codes.FailedPrecondition, "own") }

func TestAPanicPassesThroughUnchangedAfterTheRelease(t *testing.T) {
	fake := locktest.New()
	m := mustNew(t, fake, grpcmw.For(unary, grpcmw.KeyOf(orderOf)))
	value := &struct{ s string }{"the very same"}
	func() {
		defer func() {
			if p := recover(); p != value {
				t.Errorf("recovered %v", p)
			}
			if fake.Held(unaryKey) {
				t.Error("still locked")
			}
		}()
		_, _ = m.Unary()(t.Context(), order("7"), &grpc.UnaryServerInfo{FullMethod: unary},
			func(context.Context, any) (any, error) { panic(value) })
	}()
}

func TestOnlyNamedMethodsAreLocked(t *testing.T) {
	m := mustNew(t, locktest.New(), grpcmw.For(unary, grpcmw.KeyOf(orderOf)))
	var locked []bool
	c := serve(t, m, &handlers{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		_, ok := core.FromContext(ctx)
		locked = append(locked, ok)
		return &testpb.SimpleResponse{}, nil
	}})
	if _, err := c.EmptyCall(timeout(t), &testpb.Empty{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.UnaryCall(timeout(t), order("7")); err != nil {
		t.Fatal(err)
	}
	if len(locked) != 2 || locked[0] || !locked[1] {
		t.Errorf("locked: %v, want only the second", locked)
	}
}

func TestACallWithoutAKeyIsRejectedOrRunsUnlocked(t *testing.T) {
	for _, c := range []struct {
		policy grpcmw.MissingPolicy
		code   codes.Code
		reason core.Reason
		ran    bool
	}{{grpcmw.Reject, codes.InvalidArgument, core.ReasonKeyMissing, false}, {grpcmw.Skip, codes.OK, "", true}} {
		fake := locktest.New()
		// Its lock is on another key, and must not be taken for this call's.
		outer := mustNew(t, fake, grpcmw.For(unary, grpcmw.KeyFunc(func(context.Context, any) (string, error) { return "outer", nil })))
		m := mustNew(t, fake, grpcmw.For(unary, grpcmw.KeyOf(orderOf)), grpcmw.OnMissing(c.policy))
		ran := false
		client := serveWith(t, append(outer.ServerOptions(), m.ServerOptions()...), &handlers{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			if _, locked := core.FromContext(ctx); locked {
				t.Error("there is a lock")
			}
			ran = true
			return &testpb.SimpleResponse{}, nil
		}})
		var trailer metadata.MD
		_, err := client.UnaryCall(timeout(t), order(""), grpc.Trailer(&trailer))
		wantAnswer(t, err, trailer, c.code, c.reason, "")
		if ran != c.ran {
			t.Errorf("policy %v: ran %v", c.policy, ran)
		}
	}
}

func TestSkipDoesNotExcuseAKeyThatIsInvalid(t *testing.T) {
	m := mustNew(t, locktest.New(), grpcmw.For(unary, grpcmw.KeyTemplate("order:{metadata.x-order}"), grpcmw.OnMissing(grpcmw.Skip)))
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("x-order", "a", "x-order", "b"))
	_, err := m.Unary()(ctx, order("7"), &grpc.UnaryServerInfo{FullMethod: unary}, func(context.Context, any) (any, error) {
		t.Error("ran")
		return nil, nil
	})
	wantAnswer(t, err, nil, codes.InvalidArgument, core.ReasonKeyInvalid, "")
}

func TestWhenTheBackendFailsTheCallIsDeniedOrRunsUnlocked(t *testing.T) {
	for _, c := range []struct {
		policy core.BackendErrorPolicy
		want   codes.Code
		ran    bool
	}{{core.FailClosed, codes.Unavailable, false}, {core.FailOpen, codes.OK, true}} {
		fake := locktest.New()
		fake.FailBackend(errors.New("no route to host"))
		m := mustNew(t, fake, grpcmw.For(unary, grpcmw.KeyOf(orderOf)), grpcmw.OnBackendError(c.policy))
		ran := false
		client := serve(t, m, &handlers{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			if _, locked := core.FromContext(ctx); locked {
				t.Error("there is a lock")
			}
			ran = true
			return &testpb.SimpleResponse{}, nil
		}})
		if _, err := client.UnaryCall(timeout(t), order("7")); status.Code(err) != c.want || ran != c.ran {
			t.Errorf("policy %v: %v, ran %v", c.policy, err, ran)
		}
	}
}

func TestOnDenyMayReplaceTheAnswer(t *testing.T) {
	fake := locktest.New()
	defer fake.Hold(unaryKey)()
	own := status.Error(codes.Unavailable, "come back later")
	var denial *core.Denial
	m := mustNew(t, fake, grpcmw.For(unary, grpcmw.KeyOf(orderOf), grpcmw.Wait(0),
		grpcmw.OnDeny(func(_ context.Context, d *core.Denial) error { denial = d; return own })))
	c := serve(t, m, &handlers{unary: ok})
	var trailer metadata.MD
	_, err := c.UnaryCall(timeout(t), order("7"), grpc.Trailer(&trailer))
	wantAnswer(t, err, trailer, codes.Unavailable, "", "")
	if status.Convert(err).Message() != "come back later" {
		t.Errorf("got %v", err)
	}
	if denial == nil || denial.Reason != core.ReasonHeld || !errors.Is(denial, core.ErrHeld) {
		t.Errorf("the hook saw %v", denial)
	}
}

func TestInterceptorsAroundFindTheDenialInTheError(t *testing.T) {
	fake := locktest.New()
	defer fake.Hold(unaryKey)()
	m := mustNew(t, fake, grpcmw.For(unary, grpcmw.KeyOf(orderOf), grpcmw.Wait(0)))
	_, err := m.Unary()(t.Context(), order("7"), &grpc.UnaryServerInfo{FullMethod: unary},
		func(context.Context, any) (any, error) { t.Error("ran"); return nil, nil })
	d, ok := errors.AsType[*core.Denial](err)
	if !ok || d.Reason != core.ReasonHeld || core.ErrorType(err) != "held" {
		t.Errorf("got %v, %v", d, err)
	}
}

func TestAnInterceptorThatIsCalledByHandLocksAndDenies(t *testing.T) {
	fake := locktest.New()
	m := mustNew(t, fake, grpcmw.For(unary, grpcmw.KeyOf(orderOf), grpcmw.Wait(0)))
	service := lockedCounter{lock: m.Unary()}
	release := fake.Hold(unaryKey)
	_, err := service.UnaryCall(t.Context(), order("7"))
	wantAnswer(t, err, nil, codes.Aborted, core.ReasonHeld, "")
	release()
	if reply, err := service.UnaryCall(t.Context(), order("7")); err != nil || reply.GetUsername() != "locked: true" {
		t.Errorf("got %v, %v", reply, err)
	}
	if fake.Held(unaryKey) {
		t.Error("still locked")
	}
}
