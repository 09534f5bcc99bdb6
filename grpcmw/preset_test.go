package grpcmw_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
)

func TestTransparentRetryChangesTheCodeOfContentionAndNothingElse(t *testing.T) {
	for _, c := range denialRows(t) {
		t.Run(c.name, func(t *testing.T) {
			client, request := c.serve(t, locktest.New(), ok, grpcmw.TransparentRetry())
			var trailer metadata.MD
			_, err := client.UnaryCall(denialMetadata(timeout(t)), request, grpc.Trailer(&trailer))
			want := c.code
			// The denial of the handler's own lock, after which it may have done
			// half its work, is not contention for this one.
			if c.handler == nil && (c.reason == core.ReasonHeld || c.reason == core.ReasonWaitTimeout || c.reason == core.ReasonQueueFull) {
				want = codes.Unavailable
			}
			a := answerOf(t, err, trailer)
			if a.code != want || a.reason != c.reason || !c.pushedBack(a) || a.info != (c.delay != 0) {
				t.Errorf("got %+v, want %v", a, want)
			}
		})
	}
}

func TestAClientThatKnowsUnavailableOnlyGetsThrough(t *testing.T) {
	c, client := serveContended(t, 2, []grpcmw.Option{grpcmw.TransparentRetry()}, retrying(time.Hour, "UNAVAILABLE"))
	if err := callUnary(timeout(t), client); err != nil || c.runs.Load() != 1 {
		t.Errorf("%v, %d runs", err, c.runs.Load())
	}
}

// Each row of the table of denials, had the lock been in force.
func TestInShadowEveryCallIsServedAndEveryDenialTold(t *testing.T) {
	for _, c := range denialRows(t) {
		if c.handler != nil {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			want := c.reason
			if want == core.ReasonWaitTimeout || want == core.ReasonQueueFull {
				want = core.ReasonHeld // nobody waits in shadow
			}
			told := make(chan *core.Denial, 2)
			client, request := c.serve(t, locktest.New(), func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
				if l, locked := core.FromContext(ctx); locked {
					t.Errorf("a call that would have been denied has a lock: %v", l)
				}
				return &testpb.SimpleResponse{Username: "served"}, nil
			}, grpcmw.Shadow(), grpcmw.OnDeny(func(_ context.Context, d *core.Denial) error {
				told <- d
				return context.Canceled // dropped
			}))
			var trailer metadata.MD
			r, err := client.UnaryCall(denialMetadata(timeout(t)), request, grpc.Trailer(&trailer))
			if err != nil || r.GetUsername() != "served" || len(trailer["grpc-retry-pushback-ms"]) > 0 {
				t.Errorf("%v, %v, trailer %v", r, err, trailer)
			}
			if d := <-told; d.Reason != want || !d.Shadow || len(told) > 0 {
				t.Errorf("told %+v and %d more, want %s", d, len(told), want)
			}
		})
	}
}

func TestInShadowALostLockIsToldAndTheStreamGoesOn(t *testing.T) {
	for name, s := range lockedStreams() {
		t.Run(name, func(t *testing.T) {
			fake := locktest.New()
			told := make(chan *core.Denial, 2)
			var h handlers
			s.handle(&h, func(ss grpc.ServerStream) error {
				if _, locked := core.FromContext(ss.Context()); !locked {
					t.Error("there is no lock")
				}
				fake.Lose(s.key)
				if err := ss.Context().Err(); err != nil {
					t.Errorf("the handler's context: %v", err)
				}
				return ss.SendMsg(&testpb.StreamingOutputCallResponse{})
			})
			m := mustNew(t, fake, grpcmw.For(s.method, s.Key), grpcmw.Shadow(),
				grpcmw.OnDeny(func(_ context.Context, d *core.Denial) error { told <- d; return nil }))
			n, trailer, err := s.call(withOrder(timeout(t), "7"), serve(t, m, &h))
			wantAnswer(t, err, trailer, codes.OK, "", "")
			if d := <-told; n != 1 || d.Reason != core.ReasonLost || !d.Shadow {
				t.Errorf("%d messages, told %+v", n, d)
			}
		})
	}
}

func TestInShadowAStreamThatCannotBeLockedIsServed(t *testing.T) {
	told := make(chan *core.Denial, 1)
	var h handlers
	ofBidi.handle(&h, func(ss grpc.ServerStream) error { return ss.SendMsg(&testpb.StreamingOutputCallResponse{}) })
	m := mustNew(t, locktest.New(), grpcmw.For(bidiStream, grpcmw.KeyOf(streamOrderOf)), grpcmw.Shadow(),
		grpcmw.OnDeny(func(_ context.Context, d *core.Denial) error { told <- d; return nil }))
	if n, _, err := ofBidi.call(timeout(t), serve(t, m, &h)); n != 1 || err != nil {
		t.Errorf("%d messages, %v", n, err)
	}
	if d := <-told; d.Reason != core.ReasonInternal || !d.Shadow {
		t.Errorf("told %+v", d)
	}
}

func TestInShadowWithoutOnDenyCallsAreServedAllTheSame(t *testing.T) {
	fake := locktest.New()
	defer fake.Hold(unaryKey)()
	client := serve(t, mustNew(t, fake, grpcmw.For(unary, grpcmw.KeyOf(orderOf)), grpcmw.Shadow()), &handlers{unary: ok})
	for _, id := range []string{"7", "8", ""} {
		if _, err := client.UnaryCall(timeout(t), order(id)); err != nil {
			t.Errorf("order %q: %v", id, err)
		}
	}
}
