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

// The table of the answers. The key, and what lies beneath a failure, must not
// be in any of them.
func TestEachDenialHasItsStatus(t *testing.T) {
	const secret = "secret-order"
	const key = unary + "%:" + secret
	hold := func(t *testing.T, f *locktest.Fake) {
		t.Cleanup(f.Hold(key, core.TTL(12300*time.Microsecond), core.WithMeta(core.Meta{Host: secret})))
	}
	never := func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		return nil, errors.New("the handler ran")
	}
	for _, c := range []struct {
		name     string
		prepare  func(*testing.T, *locktest.Fake)
		opts     []grpcmw.MethodOption
		key      grpcmw.Key
		body     string
		handler  func(*locktest.Fake) func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error)
		code     codes.Code
		reason   core.Reason
		delay    time.Duration // of RetryInfo; 0 none, -1 some
		pushback []string
		fields   []string
	}{
		{
			name: "held, not waiting", prepare: hold, opts: []grpcmw.MethodOption{grpcmw.Wait(0)},
			code: codes.Aborted, reason: core.ReasonHeld, delay: 13 * time.Millisecond, pushback: []string{"13"},
		},
		{
			name: "wait over", prepare: hold, opts: []grpcmw.MethodOption{grpcmw.Wait(time.Millisecond)},
			code: codes.Aborted, reason: core.ReasonWaitTimeout, delay: 13 * time.Millisecond, pushback: []string{"13"},
		},
		{
			name: "queue full", prepare: hold, opts: []grpcmw.MethodOption{grpcmw.MaxWaiters(0)},
			code: codes.ResourceExhausted, reason: core.ReasonQueueFull, delay: 13 * time.Millisecond,
		},
		{
			name: "backend down", prepare: func(_ *testing.T, f *locktest.Fake) { f.FailBackend(errors.New("dial tcp " + secret)) },
			code: codes.Unavailable, reason: core.ReasonBackend, delay: -1,
		},
		{
			name: "shutting down", prepare: func(_ *testing.T, f *locktest.Fake) { _ = f.Close() },
			code: codes.Unavailable, reason: core.ReasonShuttingDown,
		},
		{
			name: "key missing", body: "-",
			code: codes.InvalidArgument, reason: core.ReasonKeyMissing, fields: []string{"request is missing or empty"},
		},
		{
			name: "metadata missing", key: grpcmw.KeyTemplate("{metadata.x-other}"),
			code: codes.InvalidArgument, reason: core.ReasonKeyMissing, fields: []string{"metadata.x-other is missing or empty"},
		},
		{
			name: "metadata empty", key: grpcmw.KeyTemplate("order:{metadata.x-empty}"),
			code: codes.InvalidArgument, reason: core.ReasonKeyMissing, fields: []string{"metadata.x-empty is missing or empty"},
		},
		{
			name: "metadata repeated", key: grpcmw.Metadata("x-twice"),
			code: codes.InvalidArgument, reason: core.ReasonKeyInvalid, fields: []string{"metadata.x-twice has more than one value"},
		},
		{
			name: "key function says missing",
			key: grpcmw.KeyFunc(func(context.Context, any) (string, error) {
				return "", errors.Join(core.ErrKeyMissing, errors.New(secret))
			}),
			code: codes.InvalidArgument, reason: core.ReasonKeyMissing, fields: []string{"request is missing a part"},
		},
		{
			name: "key function fails",
			key:  grpcmw.KeyFunc(func(context.Context, any) (string, error) { return "", errors.New(secret) }),
			code: codes.InvalidArgument, reason: core.ReasonKeyInvalid, fields: []string{"request has no valid lock key"},
		},
		{
			name: "key too long for the locker", opts: []grpcmw.MethodOption{grpcmw.Unscoped()},
			key:  grpcmw.KeyFunc(func(context.Context, any) (string, error) { return strings.Repeat("x", core.MaxKeyLen+1), nil }),
			code: codes.InvalidArgument, reason: core.ReasonKeyInvalid, fields: []string{"request does not give a valid lock key"},
		},
		{
			name: "key function of another type", key: grpcmw.KeyOf(func(*testpb.Empty) string { return "x" }),
			code: codes.Internal, reason: core.ReasonInternal, pushback: []string{"-1"},
		},
		{
			name: "lost while it ran", code: codes.Internal, reason: core.ReasonLost, pushback: []string{"-1"},
			handler: func(f *locktest.Fake) func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
				return func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
					f.Lose(key)
					<-ctx.Done()
					if !errors.Is(context.Cause(ctx), core.ErrLost) {
						t.Errorf("cause %v", context.Cause(ctx))
					}
					return &testpb.SimpleResponse{}, nil
				}
			},
		},
		{
			name: "broken by an operator", code: codes.Internal, reason: core.ReasonLost, pushback: []string{"-1"},
			handler: func(f *locktest.Fake) func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
				return func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
					f.Break(key)
					return nil, status.Error(codes.NotFound, secret)
				}
			},
		},
		{
			name: "held for too long", opts: []grpcmw.MethodOption{grpcmw.MaxHold(time.Millisecond)},
			code: codes.Internal, reason: core.ReasonLost, pushback: []string{"-1"},
			handler: func(f *locktest.Fake) func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
				return func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
					<-ctx.Done()
					return nil, ctx.Err()
				}
			},
		},
		{
			name: "token refused", code: codes.Aborted, reason: core.ReasonStale, pushback: []string{"-1"},
			handler: func(*locktest.Fake) func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
				return func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
					return nil, errors.Join(core.ErrStale, errors.New(secret))
				}
			},
		},
		{
			// The handler has run, so that a retry might do its work twice.
			name: "denial of a lock of the handler's own", code: codes.Aborted, reason: core.ReasonHeld, pushback: []string{"-1"},
			handler: func(*locktest.Fake) func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
				return func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
					return nil, core.Denied(&core.AcquireError{Key: secret, Err: core.ErrHeld, Info: core.Info{RetryAfter: time.Second}})
				}
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake := locktest.New()
			if c.prepare != nil {
				c.prepare(t, fake)
			}
			if c.key == nil {
				c.key = grpcmw.KeyOf(func(r *testpb.SimpleRequest) string { return strings.TrimPrefix(orderOf(r), "-") })
			}
			if c.body == "" {
				c.body = secret
			}
			h := &handlers{unary: never}
			if c.handler != nil {
				h.unary = c.handler(fake)
			}
			client := serve(t, mustNew(t, fake, grpcmw.For(unary, c.key, c.opts...)), h)

			ctx := metadata.AppendToOutgoingContext(timeout(t), "x-twice", "a", "x-twice", "b", "x-empty", "")
			var header, trailer metadata.MD
			_, err := client.UnaryCall(ctx, order(c.body), grpc.Header(&header), grpc.Trailer(&trailer))
			a := answerOf(t, err, trailer)
			if a.code != c.code || a.reason != c.reason {
				t.Errorf("got %v %s, want %v %s (%v)", a.code, a.reason, c.code, c.reason, err)
			}
			if !slices.Equal(a.pushback, c.pushback) {
				t.Errorf("pushback %q, want %q", a.pushback, c.pushback)
			}
			switch {
			case c.delay == 0 && a.info, c.delay > 0 && a.delay != c.delay:
				t.Errorf("RetryInfo %v %v, want %v", a.info, a.delay, c.delay)
			case c.delay < 0 && (a.delay < 500*time.Millisecond || a.delay >= 1500*time.Millisecond):
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
			if c.handler != nil {
				return
			}
			if fake.Held(key) != (c.prepare != nil && c.delay > 0) {
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

func TestAClientThatGoesAwayLeavesTheLine(t *testing.T) {
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
	waiting := make(chan error, 1)
	go func() {
		waiting <- fake.AwaitWaiting(timeout(t), unaryKey, 1)
		cancel()
	}()
	if _, err := client.UnaryCall(ctx, order("7")); status.Code(err) != codes.Canceled {
		t.Errorf("the client sees %v", err)
	}
	if err := <-waiting; err != nil {
		t.Fatal(err)
	}
	if d := <-denials; d.Reason != core.ReasonCanceled || fake.Waiting(unaryKey) != 0 {
		t.Errorf("%v, %d in line", d, fake.Waiting(unaryKey))
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
	outer := mustNew(t, fake, count, grpcmw.For(unary, grpcmw.Metadata("x-order")))
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
		{grpcmw.Metadata("x-order"), core.ErrKeyMissing, "core: a part of the lock key is missing: metadata.x-order is missing or empty"},
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
