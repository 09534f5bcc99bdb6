package grpcmw_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
)

// secret is what must not be in any answer: it is the order, and in what lies
// beneath a failure.
const secret = "secret-order"

// secretKey is the key of a unary call for it.
const secretKey = "order:" + secret

// unaryHandler is what a handler of unary calls is.
type unaryHandler = func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error)

// asHinted is a pushback that says the same as the RetryInfo, which is at random.
const asHinted = "as hinted"

// pushedBack reports whether a has the row's pushback.
func (c *denialRow) pushedBack(a answer) bool {
	if slices.Equal(c.pushback, []string{asHinted}) {
		return slices.Equal(a.pushback, []string{strconv.FormatInt(a.delay.Milliseconds(), 10)})
	}
	return slices.Equal(a.pushback, c.pushback)
}

// denialRow is a row of the table of answers, and how to come by it.
type denialRow struct {
	name     string
	prepare  func(*testing.T, *locktest.Fake)
	opts     []grpcmw.MethodOption
	key      grpcmw.Key
	body     string
	handler  func(*locktest.Fake) unaryHandler
	code     codes.Code
	reason   core.Reason
	delay    time.Duration // of RetryInfo; 0 none, -1 some
	pushback []string
	fields   []string
}

// denialRows are the rows of the table that a unary call can come by without its
// client giving it up.
func denialRows(t *testing.T) []denialRow {
	hold := func(t *testing.T, f *locktest.Fake) {
		t.Cleanup(f.Hold(secretKey, core.TTL(12300*time.Microsecond), core.WithMeta(core.Meta{Host: secret})))
	}
	return []denialRow{
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
			code: codes.Unavailable, reason: core.ReasonShuttingDown, delay: -1, pushback: []string{asHinted},
		},
		{
			name: "key missing", body: "-",
			code: codes.InvalidArgument, reason: core.ReasonKeyMissing, fields: []string{"request is missing or empty"},
		},
		{
			name: "metadata missing", key: grpcmw.KeyTemplate("k:{metadata.x-other}"),
			code: codes.InvalidArgument, reason: core.ReasonKeyMissing, fields: []string{"metadata.x-other is missing or empty"},
		},
		{
			name: "metadata empty", key: grpcmw.KeyTemplate("order:{metadata.x-empty}"),
			code: codes.InvalidArgument, reason: core.ReasonKeyMissing, fields: []string{"metadata.x-empty is missing or empty"},
		},
		{
			name: "metadata repeated", key: grpcmw.KeyTemplate("order:{metadata.x-twice}"),
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
			name: "key too long for the locker",
			key:  grpcmw.KeyFunc(func(context.Context, any) (string, error) { return strings.Repeat("x", core.MaxKeyLen+1), nil }),
			code: codes.InvalidArgument, reason: core.ReasonKeyInvalid, fields: []string{"request has no valid lock key"},
		},
		{
			name: "key function of another type", key: grpcmw.KeyOf(func(*testpb.Empty) string { return "x" }),
			code: codes.Internal, reason: core.ReasonInternal, pushback: []string{"-1"},
		},
		{
			name: "lost while it ran", code: codes.Internal, reason: core.ReasonLost, pushback: []string{"-1"},
			handler: func(f *locktest.Fake) unaryHandler {
				return func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
					f.Lose(secretKey)
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
			handler: func(f *locktest.Fake) unaryHandler {
				return func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
					f.Break(secretKey)
					return nil, status.Error(codes.NotFound, secret)
				}
			},
		},
		{
			name: "held for too long", opts: []grpcmw.MethodOption{grpcmw.MaxHold(time.Millisecond)},
			code: codes.Internal, reason: core.ReasonLost, pushback: []string{"-1"},
			handler: func(f *locktest.Fake) unaryHandler {
				return func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
					<-ctx.Done()
					return nil, ctx.Err()
				}
			},
		},
		{
			name: "token refused", code: codes.Aborted, reason: core.ReasonStale, pushback: []string{"-1"},
			handler: func(*locktest.Fake) unaryHandler {
				return func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
					return nil, errors.Join(core.ErrStale, errors.New(secret))
				}
			},
		},
		{
			// The handler has run, so that a retry might do its work twice.
			name: "denial of a lock of the handler's own", code: codes.Aborted, reason: core.ReasonHeld, pushback: []string{"-1"},
			handler: func(*locktest.Fake) unaryHandler {
				return func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
					return nil, core.Denied(&core.AcquireError{Key: secret, Err: core.ErrHeld, Info: core.Info{RetryAfter: time.Second}})
				}
			},
		},
	}
}

// serve serves the row's method. It returns the call, too.
func (c *denialRow) serve(t *testing.T, fake *locktest.Fake, never unaryHandler, opts ...grpcmw.Option) (testpb.TestServiceClient, *testpb.SimpleRequest) {
	t.Helper()
	if c.prepare != nil {
		c.prepare(t, fake)
	}
	key := c.key
	if key == nil {
		key = grpcmw.KeyOf(func(r *testpb.SimpleRequest) string {
			return orderKey(strings.TrimPrefix(string(r.GetPayload().GetBody()), "-"))
		})
	}
	body := c.body
	if body == "" {
		body = secret
	}
	h := &handlers{unary: never}
	if c.handler != nil {
		h.unary = c.handler(fake)
	}
	return serve(t, mustNew(t, fake, append(opts, grpcmw.For(unary, key, c.opts...))...), h), order(body)
}

// denialMetadata is what the rows' calls bring along.
func denialMetadata(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "x-twice", "a", "x-twice", "b", "x-empty", "")
}
