package grpcmw_test

import (
	"context"
	"errors"
	"slices"
	"strings"
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

// The table of the answers, over TCP. The key, and what lies beneath a failure, must
// not be in any of them.
func TestEachDenialHasItsStatus(t *testing.T) {
	for _, c := range denialRows(t) {
		t.Run(c.name, func(t *testing.T) {
			fake := locktest.New()
			client, request := c.serve(t, fake, func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
				return nil, errors.New("the handler ran")
			})
			ctx := denialMetadata(timeout(t))
			var header, trailer metadata.MD
			_, err := client.UnaryCall(ctx, request, grpc.Header(&header), grpc.Trailer(&trailer))
			a := answerOf(t, err, trailer)
			if a.code != c.code || a.reason != c.reason {
				t.Errorf("got %v %s, want %v %s (%v)", a.code, a.reason, c.code, c.reason, err)
			}
			if !c.pushedBack(a) {
				t.Errorf("pushback %q, want %q", a.pushback, c.pushback)
			}
			switch {
			case c.delay == 0 && a.info, c.delay > 0 && a.delay != c.delay:
				t.Errorf("RetryInfo %v %v, want %v", a.info, a.delay, c.delay)
			case c.delay < 0 && (a.delay < 500*time.Millisecond || a.delay > 2*time.Second):
				t.Errorf("RetryInfo %v %v, want about a second", a.info, a.delay)
			}
			if !slices.Equal(a.fields, c.fields) {
				t.Errorf("fields %q, want %q", a.fields, c.fields)
			}
			if text := status.Convert(err).Proto().String(); strings.Contains(text, secret) {
				t.Errorf("the answer holds the key or an internal error: %s", text)
			}
			if len(header) != 0 { // not even content-type: trailers only
				t.Errorf("headers %v before a denial", header)
			}
			if len(trailer[grpcmw.RequestIDKey]) != 1 {
				t.Errorf("trailer %v has no request ID", trailer)
			}
			if retriable := len(trailer["latchkey-denied"]) == 1; retriable != (c.delay != 0) {
				t.Errorf("trailer %v", trailer)
			}
			if c.handler != nil {
				return
			}
			if fake.Held(secretKey) != (c.prepare != nil && c.delay > 0) {
				t.Error("the denied call holds a lock, or has taken away another's")
			}
		})
	}
}

func TestTheCallersOwnDeadlineAndCancellation(t *testing.T) {
	for _, c := range []struct {
		name   string
		code   codes.Code
		reason core.Reason
		end    func(context.Context) (context.Context, context.CancelFunc)
	}{
		{"deadline", codes.DeadlineExceeded, core.ReasonDeadline, func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}},
		{"cancellation", codes.Canceled, core.ReasonCanceled, func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := locktest.New()
				defer fake.Hold(unaryKey)()
				m := mustNew(t, fake, grpcmw.For(unary, grpcmw.KeyOf(orderOf)))
				ctx, cancel := c.end(t.Context())
				defer cancel()
				start := time.Now()
				_, err := m.Unary()(ctx, order("7"), &grpc.UnaryServerInfo{FullMethod: unary}, func(context.Context, any) (any, error) {
					t.Error("ran")
					return nil, nil
				})
				wantAnswer(t, err, nil, c.code, c.reason, "")
				if waited := time.Since(start); waited != time.Second {
					t.Errorf("waited for %v", waited)
				}
			})
		})
	}
}

func TestAClientThatGivesUpLeavesTheLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		code   codes.Code
		reason core.Reason
		bound  time.Duration // of the call; 0 for one that is cancelled
	}{
		{"cancellation", codes.Canceled, core.ReasonCanceled, 0},
		{"deadline", codes.DeadlineExceeded, core.ReasonDeadline, 2 * time.Second}, // to get in line in
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			fake := locktest.New()
			defer fake.Hold(unaryKey)()
			denials := make(chan *core.Denial, 1)
			m := mustNew(t, fake, grpcmw.For(unary, grpcmw.KeyOf(orderOf)),
				grpcmw.OnDeny(func(_ context.Context, d *core.Denial) error { denials <- d; return nil }))
			client := serve(t, m, &handlers{unary: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
				t.Error("ran")
				return nil, nil
			}})
			ctx, cancel := context.WithCancel(timeout(t))
			defer cancel()
			if c.bound > 0 {
				var end context.CancelFunc
				ctx, end = context.WithTimeout(ctx, c.bound)
				defer end()
			} else {
				go func() {
					if err := fake.AwaitWaiting(timeout(t), unaryKey, 1); err != nil {
						t.Error(err)
					}
					cancel()
				}()
			}
			if _, err := client.UnaryCall(ctx, order("7")); status.Code(err) != c.code {
				t.Errorf("the client sees %v", err)
			}
			// A client that gives up at its deadline also resets the stream; which
			// of both the server hears of first is chance.
			if d := <-denials; d.Reason != c.reason && d.Reason != core.ReasonCanceled || fake.Waiting(unaryKey) != 0 {
				t.Errorf("%v, %d in line", d, fake.Waiting(unaryKey))
			}
		})
	}
}

func TestALockInsideTheSameLockFailsAtOnceAndNamesTheTemplate(t *testing.T) {
	fake := locktest.New()
	m := mustNew(t, fake, grpcmw.For(unary, grpcmw.KeyTemplate("order:{metadata.x-order}")))
	client := serveWith(t, append(m.ServerOptions(), m.ServerOptions()...), &handlers{unary: ok})
	var trailer metadata.MD
	_, err := client.UnaryCall(withOrder(timeout(t), "7"), order(""), grpc.Trailer(&trailer))
	wantAnswer(t, err, trailer, codes.Internal, core.ReasonSelfDeadlock, "-1")
	if !strings.Contains(status.Convert(err).Message(), `"order:{metadata.x-order}"`) {
		t.Errorf("%v does not name the template", err)
	}
}

func TestAnInnerDenialIsAnsweredOnceThroughTwoLocks(t *testing.T) {
	fake := locktest.New()
	denials := 0
	count := grpcmw.OnDeny(func(context.Context, *core.Denial) error { denials++; return nil })
	outer := mustNew(t, fake, count, grpcmw.For(unary, grpcmw.KeyTemplate("outer:{metadata.x-order}")))
	inner := mustNew(t, fake, count, grpcmw.For(unary, grpcmw.KeyOf(orderOf), grpcmw.Name("inner")))
	client := serveWith(t, append(outer.ServerOptions(), inner.ServerOptions()...), &handlers{
		unary: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			return nil, core.ErrStale
		},
	})
	var trailer metadata.MD
	_, err := client.UnaryCall(withOrder(timeout(t), "7"), order("7"), grpc.Trailer(&trailer))
	wantAnswer(t, err, trailer, codes.Aborted, core.ReasonStale, "-1")
	if denials != 1 || len(trailer[grpcmw.RequestIDKey]) != 1 {
		t.Errorf("%d denials, trailer %v", denials, trailer)
	}
}

func TestTheDenialsCauseIsForLogs(t *testing.T) {
	lookup := errors.New("look-up failed")
	for _, c := range []struct {
		key  grpcmw.Key
		err  error
		want string
	}{
		{grpcmw.KeyTemplate("order:{metadata.x-order}"), core.ErrKeyMissing, "core: a part of the lock key is missing: metadata.x-order is missing or empty"},
		{grpcmw.KeyFunc(func(context.Context, any) (string, error) { return "", lookup }), lookup, "core: invalid lock key: request has no valid lock key: look-up failed"},
		{grpcmw.KeyOf(func(*testpb.Empty) string { return "" }), nil, "grpcmw: the key is a function of *grpc_testing.Empty, and the request is a *grpc_testing.SimpleRequest"},
	} {
		var denial *core.Denial
		m := mustNew(t, locktest.New(), grpcmw.For(unary, c.key), grpcmw.OnDeny(func(_ context.Context, d *core.Denial) error { denial = d; return nil }))
		_, err := m.Unary()(t.Context(), order("7"), &grpc.UnaryServerInfo{FullMethod: unary}, nil)
		if denial == nil || denial.Cause.Error() != c.want || c.err != nil && !errors.Is(denial, c.err) {
			t.Errorf("cause %v, want %s", denial, c.want)
		}
		if !strings.HasPrefix(err.Error(), "rpc error: code = ") || strings.Contains(err.Error(), "look-up") {
			t.Errorf("error %v", err)
		}
	}
}
