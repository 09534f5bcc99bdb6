package grpcmw_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
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

func mustClient(t testing.TB, opts ...grpcmw.ClientOption) *grpcmw.Client {
	t.Helper()
	c, err := grpcmw.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// clientWith installs both of a client's interceptors.
func clientWith(t testing.TB, opts ...grpcmw.ClientOption) []grpc.DialOption {
	t.Helper()
	return mustClient(t, opts...).DialOptions()
}

// contended is a method that denies its first calls.
type contended struct {
	denials, runs atomic.Int32
	mu            sync.Mutex
	ids           []string
}

// serveContended denies as many calls as that with LOCK_HELD and a hint of about
// 10 ms, unary ones and server streams.
func serveContended(t *testing.T, denials int32, opts []grpcmw.Option, dial ...grpc.DialOption) (*contended, testpb.TestServiceClient) {
	t.Helper()
	fake := locktest.New()
	release := sync.OnceFunc(fake.Hold("order:7", core.TTL(core.MinTTL)))
	t.Cleanup(release)
	c := &contended{}
	opts = append(opts, grpcmw.TrustRequestID(), grpcmw.Wait(0),
		grpcmw.For(unary, grpcmw.KeyOf(orderOf)), grpcmw.For(serverStream, grpcmw.KeyOf(streamOrderOf)),
		grpcmw.For(clientStream, grpcmw.KeyTemplate("order:{metadata.x-order}")), grpcmw.For(bidiStream, grpcmw.KeyTemplate("order:{metadata.x-order}")),
		grpcmw.OnDeny(func(ctx context.Context, _ *core.Denial) error {
			c.seen(ctx)
			if c.denials.Add(1) == denials {
				release()
			}
			return nil
		}))
	h := &handlers{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		c.seen(ctx)
		c.runs.Add(1)
		return &testpb.SimpleResponse{Username: "done"}, nil
	}}
	for _, s := range []openStream{ofServer, ofClient, ofBidi} {
		s.handle(h, func(ss grpc.ServerStream) error {
			c.seen(ss.Context())
			c.runs.Add(1)
			return ss.SendMsg(&testpb.StreamingOutputCallResponse{})
		})
	}
	return c, serve(t, mustNew(t, fake, opts...), h, dial...)
}

func (c *contended) seen(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id, _ := idgen.FromContext(ctx)
	c.ids = append(c.ids, id)
}

func callUnary(ctx context.Context, c testpb.TestServiceClient) error {
	r, err := c.UnaryCall(ctx, order("7"))
	if err == nil && r.GetUsername() != "done" {
		return fmt.Errorf("reply %v", r)
	}
	return err
}

func callServer(ctx context.Context, c testpb.TestServiceClient) error {
	n, _, err := ofServer.call(ctx, c)
	if err == nil && n != 1 {
		return fmt.Errorf("%d messages", n)
	}
	return err
}

// retriedCalls are the calls that RetryHeld repeats.
var retriedCalls = map[string]func(context.Context, testpb.TestServiceClient) error{"unary": callUnary, "server stream": callServer}

func TestADeniedCallIsTriedAgainWithTheSameRequestIDUntilItRuns(t *testing.T) {
	for name, call := range retriedCalls {
		t.Run(name, func(t *testing.T) {
			c, client := serveContended(t, 3, nil, clientWith(t, grpcmw.RetryHeld(3))...)
			if err := call(idgen.NewContext(timeout(t), "the-call"), client); err != nil {
				t.Error(err)
			}
			if c.runs.Load() != 1 || fmt.Sprint(c.ids) != "[the-call the-call the-call the-call]" {
				t.Errorf("%d runs, request IDs %q", c.runs.Load(), c.ids)
			}
		})
	}
}

func TestNoMoreThanSoManyRetries(t *testing.T) {
	for _, n := range []int{0, 1, 2} {
		for name, call := range retriedCalls {
			c, client := serveContended(t, 100, nil, clientWith(t, grpcmw.RetryHeld(n))...)
			err := call(timeout(t), client)
			if a := answerOf(t, err, nil); a.code != codes.Aborted || a.reason != core.ReasonHeld || int(c.denials.Load()) != 1+n {
				t.Errorf("%s, RetryHeld(%d): %v after %d attempts", name, n, err, c.denials.Load())
			}
		}
	}
}

func TestClientAndBidiStreamsCarryTheIDAndAreLeftToTheServiceConfig(t *testing.T) {
	for _, s := range []openStream{ofClient, ofBidi} {
		_, client := serveContended(t, 1, nil, clientWith(t, grpcmw.RetryHeld(3))...)
		ctx := withOrder(idgen.NewContext(timeout(t), "the-call"), "7")
		if _, _, err := s.call(ctx, client); status.Code(err) != codes.Aborted {
			t.Errorf("%s: %v", s.name, err)
		}
		c, client := serveContended(t, 1, nil, append(clientWith(t, grpcmw.RetryHeld(3)), retrying(time.Hour, "ABORTED"))...)
		if n, _, err := s.call(ctx, client); n != 1 || err != nil || fmt.Sprint(c.ids) != "[the-call the-call]" {
			t.Errorf("%s: %d messages, %v, request IDs %q", s.name, n, err, c.ids)
		}
	}
}

func TestTheRequestIDIsTheCallersOwnOrANewOne(t *testing.T) {
	for _, c := range []struct {
		name string
		ctx  func(context.Context) context.Context
		want string
	}{
		{"of the context", func(ctx context.Context) context.Context { return idgen.NewContext(ctx, "a") }, "a"},
		{"of the metadata", func(ctx context.Context) context.Context {
			return metadata.AppendToOutgoingContext(idgen.NewContext(ctx, "a"), grpcmw.RequestIDKey, "b")
		}, "b"},
		{"not valid", func(ctx context.Context) context.Context { return idgen.NewContext(ctx, "a b") }, ""},
		{"none", func(ctx context.Context) context.Context { return ctx }, ""},
	} {
		seen, client := serveContended(t, 1, nil, clientWith(t, grpcmw.RetryHeld(1))...)
		if err := callUnary(c.ctx(timeout(t)), client); err != nil {
			t.Error(err)
		}
		if ids := seen.ids; len(ids) != 2 || ids[0] != ids[1] || c.want != "" && ids[0] != c.want || !idgen.ValidRequestID(ids[0]) {
			t.Errorf("%s: request IDs %q", c.name, ids)
		}
	}
}

// A policy that covers the denial goes first; together they are not more than the
// one or the other.
func TestRetriesAndAServiceConfigDoNotMultiply(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		n        int
		code     string // that the policy covers, with five attempts
		attempts int32
	}{
		{"the policy makes more", 3, "ABORTED", 5},
		{"the policy makes fewer", 8, "ABORTED", 9},
		{"the policy covers others", 3, "UNAVAILABLE", 4},
	} {
		for name, call := range retriedCalls {
			t.Run(c.name+", "+name, func(t *testing.T) {
				seen, client := serveContended(t, 100, nil, append(clientWith(t, grpcmw.RetryHeld(c.n)), retrying(time.Hour, c.code))...)
				err := call(timeout(t), client)
				if a := answerOf(t, err, nil); a.reason != core.ReasonHeld || seen.denials.Load() != c.attempts {
					t.Errorf("%v after %d attempts, want %d", err, seen.denials.Load(), c.attempts)
				}
				seen, client = serveContended(t, c.attempts-1, nil, append(clientWith(t, grpcmw.RetryHeld(c.n)), retrying(time.Hour, c.code))...)
				if err := call(timeout(t), client); err != nil || seen.runs.Load() != 1 {
					t.Errorf("the last attempt: %v, %d runs", err, seen.runs.Load())
				}
			})
		}
	}
}

func TestWhatIsNotADenialOfTheServerThatWasCalledIsNotTriedAgain(t *testing.T) {
	pairs := metadata.Pairs
	for name, c := range map[string]struct {
		delay   time.Duration
		trailer metadata.MD
		domain  string
	}{
		"a denial that the handler has passed on": {0, nil, grpcmw.ErrorDomain},
		"another domain":      {0, pairs("latchkey-denied", "0"), "example.org"},
		"a pushback of never": {0, pairs("latchkey-denied", "0", "grpc-retry-pushback-ms", "-1"), grpcmw.ErrorDomain},
		"no number":           {0, pairs("latchkey-denied", "x"), grpcmw.ErrorDomain},
		"a negative number":   {0, pairs("latchkey-denied", "-5"), grpcmw.ErrorDomain},
		"two numbers":         {0, pairs("latchkey-denied", "0", "latchkey-denied", "0"), grpcmw.ErrorDomain},
	} {
		invoke, attempts := denied(c.delay, c.trailer, c.domain)
		err := mustClient(t, grpcmw.RetryHeld(3), nil).Unary()(t.Context(), unary, nil, nil, nil, invoke)
		if status.Code(err) != codes.Aborted || *attempts != 1 {
			t.Errorf("%s: %v after %d attempts", name, err, *attempts)
		}
	}
}

func TestAHandlerThatPassesOnADenialIsNotRunAgain(t *testing.T) {
	_, behind := serveContended(t, 100, nil)
	var runs atomic.Int32
	client := serve(t, mustNew(t, locktest.New(), grpcmw.For(unary, grpcmw.KeyOf(orderOf))), &handlers{
		unary: func(ctx context.Context, r *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			runs.Add(1)
			return behind.UnaryCall(ctx, r)
		}}, clientWith(t, grpcmw.RetryHeld(3))...)
	err := callUnary(timeout(t), client)
	if a := answerOf(t, err, nil); a.reason != core.ReasonHeld || !a.info || runs.Load() != 1 {
		t.Errorf("%v, %d runs", err, runs.Load())
	}
}

func TestAStreamThatCannotBeOpenedAgainEndsWithThatError(t *testing.T) {
	_, client := serveContended(t, 100, nil, append(clientWith(t, grpcmw.RetryHeld(3)), grpc.WithChainStreamInterceptor(func() grpc.StreamClientInterceptor {
		opened := 0
		return func(ctx context.Context, d *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			if opened++; opened > 1 {
				return nil, errors.New("no more")
			}
			return open(ctx, d, cc, method, opts...)
		}
	}()))...)
	if _, _, err := ofServer.call(timeout(t), client); err == nil || err.Error() != "no more" {
		t.Error(err)
	}
}

// deniedStream ends with a denial, and asks for the headers of the stream around it
// before that one hears of it.
type deniedStream struct {
	grpc.ClientStream
	err     error
	headers func()
}

func (s *deniedStream) RecvMsg(any) error            { return s.err }
func (s *deniedStream) Header() (metadata.MD, error) { return nil, nil }
func (s *deniedStream) Trailer() metadata.MD {
	s.headers()
	return metadata.Pairs("latchkey-denied", "0")
}

func TestAStreamWhoseHeadersHaveBeenAnsweredIsNotOpenedAgain(t *testing.T) {
	invoke, _ := denied(0, nil, grpcmw.ErrorDomain)
	inner := &deniedStream{err: invoke(t.Context(), serverStream, nil, nil, nil)}
	opened := 0
	outer, err := mustClient(t, grpcmw.RetryHeld(3)).Stream()(t.Context(), &grpc.StreamDesc{ServerStreams: true}, nil, serverStream,
		func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
			opened++
			return inner, nil
		})
	if err != nil {
		t.Fatal(err)
	}
	inner.headers = func() { _, _ = outer.Header() }
	if err := outer.RecvMsg(nil); status.Code(err) != codes.Aborted || opened != 1 {
		t.Errorf("%v, opened %d times", err, opened)
	}
}

func TestAskingForAStreamsHeadersGivesUpItsRetries(t *testing.T) {
	c, client := serveContended(t, 1, nil, clientWith(t, grpcmw.RetryHeld(3))...)
	s, err := client.StreamingOutputCall(timeout(t), streamOrder("7"))
	if err != nil {
		t.Fatal(err)
	}
	if md, err := s.Header(); md.Len() > 1 || err != nil {
		t.Errorf("%v, %v", md, err)
	}
	if _, err := s.Recv(); status.Code(err) != codes.Aborted || c.denials.Load() != 1 {
		t.Errorf("%v after %d denials", err, c.denials.Load())
	}
}
