package grpcmw_test

import (
	"context"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
)

// These tests show what docs/grpc-retries.md says of grpc's own machinery.

// documentedConfig is the service config that the page recommends, for the service of
// the tests.
func documentedConfig(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../docs/grpc-retries.md")
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(page)
	if text == nil || !json.Valid(text[1]) {
		t.Fatalf("the page has no service config, or one that is no JSON: %s", text)
	}
	return strings.ReplaceAll(string(text[1]), "shop.v1.Shop", "grpc.testing.TestService")
}

// withThrottle is a retry policy for code, and a throttle of 10 tokens: at 5 nothing is
// repeated any more.
func withThrottle(code string) grpc.DialOption {
	return grpc.WithDefaultServiceConfig(`{"methodConfig": [{"name": [{"service": "grpc.testing.TestService"}],
		"retryPolicy": {"maxAttempts": 2, "initialBackoff": "0.001s", "maxBackoff": "0.001s", "backoffMultiplier": 1,
			"retryableStatusCodes": ["` + code + `", "UNAVAILABLE"]}}],
		"retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}}`)
}

// A client whose policy repeats the code of a denial spends its throttle's tokens on
// denials. Once they are gone, what is not a denial is not repeated any more, either.
func TestDenialsDrainTheThrottleOfAPolicyThatRepeatsTheirCode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		client grpc.DialOption
		// attempts that a call which fails once with UNAVAILABLE then has
		attempts int32
	}{
		"a policy for ABORTED":     {withThrottle("ABORTED"), 1},
		"a policy for other codes": {withThrottle("DATA_LOSS"), 2},
	} {
		t.Run(name, func(t *testing.T) {
			fake := locktest.New()
			fake.Hold(unaryKey, core.TTL(core.MinTTL))
			m := mustNew(t, fake, grpcmw.For(unary, grpcmw.KeyOf(orderOf), grpcmw.Wait(0)))
			var attempts atomic.Int32
			client := serve(t, m, &handlers{unary: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
				if attempts.Add(1) == 1 {
					return nil, status.Error(codes.Unavailable, "a hiccup")
				}
				return &testpb.SimpleResponse{}, nil
			}}, c.client)
			for range 10 {
				if _, err := client.UnaryCall(timeout(t), order("7")); status.Code(err) != codes.Aborted {
					t.Fatalf("got %v, want ABORTED", err)
				}
			}
			_, err := client.UnaryCall(timeout(t), order("8"))
			if attempts.Load() != c.attempts || (err == nil) != (c.attempts == 2) {
				t.Errorf("a call that failed once had %d attempts, want %d: %v", attempts.Load(), c.attempts, err)
			}
		})
	}
}

// A pushback of -1 takes a token each time, whatever the policy.
func TestLossesDrainTheThrottleToo(t *testing.T) {
	fake := locktest.New()
	m := mustNew(t, fake, grpcmw.For(unary, grpcmw.KeyOf(orderOf)))
	var attempts atomic.Int32
	client := serve(t, m, &handlers{unary: func(_ context.Context, r *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		if orderOf(r) == "order:7" {
			return nil, core.ErrStale
		}
		attempts.Add(1)
		return nil, status.Error(codes.Unavailable, "a hiccup")
	}}, withThrottle("DATA_LOSS"))
	for range 10 {
		_, _ = client.UnaryCall(timeout(t), order("7"))
	}
	if _, err := client.UnaryCall(timeout(t), order("8")); status.Code(err) != codes.Unavailable || attempts.Load() != 1 {
		t.Errorf("%d attempts, %v; want one: the throttle has no tokens", attempts.Load(), err)
	}
}

// The recommended service config repeats what did not run, and nothing that did.
func TestTheDocumentedServiceConfig(t *testing.T) {
	t.Parallel()
	config := grpc.WithDefaultServiceConfig(documentedConfig(t))
	t.Run("a backend that is away for a moment", func(t *testing.T) {
		fake := locktest.New()
		fake.FailBackend(context.DeadlineExceeded)
		var denials atomic.Int32
		m := mustNew(t, fake, grpcmw.For(unary, grpcmw.KeyOf(orderOf)), grpcmw.OnDeny(func(context.Context, *core.Denial) error {
			if denials.Add(1) == 2 {
				fake.FailBackend(nil)
			}
			return nil
		}))
		if _, err := serve(t, m, &handlers{unary: ok}, config).UnaryCall(timeout(t), order("7")); err != nil || denials.Load() != 2 {
			t.Errorf("%v after %d denials", err, denials.Load())
		}
	})
	for name, c := range map[string]struct {
		code codes.Code
		run  func(*locktest.Fake) error
	}{
		"a lock that is lost": {codes.Internal, func(f *locktest.Fake) error { f.Lose(unaryKey); return nil }},
		"a stale token":       {codes.Aborted, func(*locktest.Fake) error { return core.ErrStale }},
		"a denial further in": {codes.Unavailable, func(*locktest.Fake) error { return core.Denied(core.ErrBackend) }},
	} {
		t.Run(name, func(t *testing.T) {
			fake := locktest.New()
			var runs atomic.Int32
			m := mustNew(t, fake, grpcmw.For(unary, grpcmw.KeyOf(orderOf)))
			client := serve(t, m, &handlers{unary: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
				runs.Add(1)
				return &testpb.SimpleResponse{}, c.run(fake)
			}}, config)
			if _, err := client.UnaryCall(timeout(t), order("7")); status.Code(err) != c.code || runs.Load() != 1 {
				t.Errorf("got %v, the handler ran %d times, want %v and once", err, runs.Load(), c.code)
			}
		})
	}
}

// Once a connection is older than MaxConnectionAge, what is under way on it has the
// Grace to come to its end: a wait for a lock, too.
func TestTheGraceOfAConnectionsAgeHasToOutlastTheWait(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		grace time.Duration
		want  codes.Code
	}{
		"a grace below the wait": {100 * time.Millisecond, codes.Unavailable},
		"a grace above it":       {time.Minute, codes.OK},
	} {
		t.Run(name, func(t *testing.T) {
			fake := locktest.New()
			release := sync.OnceFunc(fake.Hold(unaryKey, core.TTL(time.Minute)))
			m := mustNew(t, fake, grpcmw.For(unary, grpcmw.KeyOf(orderOf), grpcmw.Wait(30*time.Second)))
			server := append(m.ServerOptions(), grpc.KeepaliveParams(keepalive.ServerParameters{
				MaxConnectionAge: 500 * time.Millisecond, MaxConnectionAgeGrace: c.grace,
			}))
			var runs atomic.Int32
			client := serveWith(t, server, &handlers{unary: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
				runs.Add(1)
				return &testpb.SimpleResponse{}, nil
			}})
			called := make(chan error, 1)
			go func() {
				_, err := client.UnaryCall(timeout(t), order("7"))
				called <- err
			}()
			var err error
			select {
			case err = <-called: // cut off
			case <-time.After(2 * time.Second): // the connection's age is over
				if c.want != codes.OK {
					err = <-called
				}
				release()
				if c.want == codes.OK {
					err = <-called
				}
			}
			release()
			if status.Code(err) != c.want || (runs.Load() == 1) != (c.want == codes.OK) {
				t.Errorf("%v, and the handler ran %d times; want %v", err, runs.Load(), c.want)
			}
		})
	}
}
