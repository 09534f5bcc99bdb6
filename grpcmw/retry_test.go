package grpcmw_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
)

// retrying is grpc-go's own retry policy, as a service config turns it on.
func retrying(backoff time.Duration, code string) grpc.DialOption {
	return grpc.WithDefaultServiceConfig(fmt.Sprintf(`{"methodConfig": [{
		"name": [{"service": "grpc.testing.TestService"}],
		"retryPolicy": {"maxAttempts": 5, "initialBackoff": "%[1]fs", "maxBackoff": "%[1]fs",
			"backoffMultiplier": 1, "retryableStatusCodes": [%[2]q]}}]}`, backoff.Seconds(), code))
}

func TestAClientsRetryPolicyObeysThePushbackInPlaceOfItsBackoff(t *testing.T) {
	for name, s := range map[string]struct {
		key    string
		method string
		by     grpcmw.Key
		call   func(context.Context, testpb.TestServiceClient) error
	}{
		"unary": {unaryKey, unary, grpcmw.KeyOf(orderOf), func(ctx context.Context, c testpb.TestServiceClient) error {
			_, err := c.UnaryCall(ctx, order("7"))
			return err
		}},
		"server stream": {serverStreamKey, serverStream, grpcmw.KeyOf(streamOrderOf), func(ctx context.Context, c testpb.TestServiceClient) error {
			_, _, err := ofServer.call(ctx, c)
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			fake := locktest.New()
			release := fake.Hold(s.key, core.TTL(core.MinTTL)) // a hint of 10 ms
			var denials, runs atomic.Int32
			var due time.Time // of the next attempt, at the earliest
			m := mustNew(t, fake, grpcmw.For(s.method, s.by, grpcmw.Wait(0)), grpcmw.OnDeny(func(_ context.Context, d *core.Denial) error {
				if time.Now().Before(due) {
					t.Errorf("back %v too soon", time.Until(due))
				}
				due = time.Now().Add(d.RetryAfter)
				if denials.Add(1) == 2 {
					release()
				}
				return nil
			}))
			h := &handlers{unary: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
				runs.Add(1)
				return &testpb.SimpleResponse{}, nil
			}}
			ofServer.handle(h, func(grpc.ServerStream) error { runs.Add(1); return nil })
			// By its own backoff the client would not be back within the test.
			if err := s.call(timeout(t), serve(t, m, h, retrying(time.Hour, "ABORTED"))); err != nil {
				t.Fatal(err)
			}
			if denials.Load() != 2 || runs.Load() != 1 {
				t.Errorf("%d denials, the handler ran %d times", denials.Load(), runs.Load())
			}
		})
	}
}

func TestAClientsRetryPolicyNeverRepeatsACallWhoseHandlerRan(t *testing.T) {
	for name, c := range map[string]struct {
		code codes.Code
		text string
		run  func(*locktest.Fake) error
	}{
		"stale": {codes.Aborted, "ABORTED", func(*locktest.Fake) error { return core.ErrStale }},
		"lost":  {codes.Internal, "INTERNAL", func(f *locktest.Fake) error { f.Lose(unaryKey); return nil }},
		"own":   {codes.Unavailable, "UNAVAILABLE", func(*locktest.Fake) error { return core.Denied(core.ErrBackend) }},
	} {
		t.Run(name, func(t *testing.T) {
			fake := locktest.New()
			var runs atomic.Int32
			m := mustNew(t, fake, grpcmw.For(unary, grpcmw.KeyOf(orderOf)))
			client := serve(t, m, &handlers{unary: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
				runs.Add(1)
				return &testpb.SimpleResponse{}, c.run(fake)
			}}, retrying(time.Millisecond, c.text))
			if _, err := client.UnaryCall(timeout(t), order("7")); status.Code(err) != c.code || runs.Load() != 1 {
				t.Errorf("got %v, the handler ran %d times", err, runs.Load())
			}
		})
	}
}

func TestWithoutPushbackAClientRetriesByItsOwnBackoff(t *testing.T) {
	fake := locktest.New()
	fake.FailBackend(context.DeadlineExceeded)
	var denials atomic.Int32
	m := mustNew(t, fake, grpcmw.For(unary, grpcmw.KeyOf(orderOf)), grpcmw.OnDeny(func(context.Context, *core.Denial) error {
		if denials.Add(1) == 3 {
			fake.FailBackend(nil)
		}
		return nil
	}))
	client := serve(t, m, &handlers{unary: ok}, retrying(time.Millisecond, "UNAVAILABLE"))
	if _, err := client.UnaryCall(timeout(t), order("7")); err != nil || denials.Load() != 3 {
		t.Errorf("%v after %d denials", err, denials.Load())
	}
}
