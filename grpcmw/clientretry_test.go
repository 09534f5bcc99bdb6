package grpcmw_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/grpcmw"
	"github.com/latchkey-go/latchkey/idgen"
)

// denied is an invoker that answers as a server would.
func denied(delay time.Duration, trailer metadata.MD, domain string) (grpc.UnaryInvoker, *int) {
	attempts := 0
	return func(_ context.Context, _ string, _, _ any, _ *grpc.ClientConn, opts ...grpc.CallOption) error {
		attempts++
		for _, o := range opts {
			if o, ok := o.(grpc.TrailerCallOption); ok {
				*o.TrailerAddr = trailer
			}
		}
		st := status.New(codes.Aborted, "held")
		if delay >= 0 {
			st, _ = st.WithDetails(&errdetails.ErrorInfo{Domain: domain, Reason: "LOCK_HELD"}, &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
		} else {
			st, _ = st.WithDetails(&errdetails.ErrorInfo{Domain: domain, Reason: "LOCK_HELD"})
		}
		return st.Err()
	}, &attempts
}

func TestARetryWaitsAsLongAsItIsToldAndHeedsTheDeadline(t *testing.T) {
	const ms = time.Millisecond
	ours := metadata.Pairs("latchkey-denied", "0")
	for _, c := range []struct {
		name            string
		delay, deadline time.Duration // no RetryInfo if the delay is negative
		cancel          time.Duration
		attempts        int
		least, most     time.Duration
		code            codes.Code
	}{
		{"no deadline", time.Minute, 0, 0, 3, 2 * time.Minute, 150 * time.Second, codes.Aborted},
		{"a deadline in time for one", time.Minute, 119 * time.Second, 0, 2, time.Minute, 75 * time.Second, codes.Aborted},
		{"a deadline too soon", time.Minute, time.Minute, 0, 1, 0, 0, codes.Aborted},
		{"cancelled while it waits", time.Minute, 0, time.Second, 1, time.Second, time.Second, codes.Canceled},
		{"told to come at once", 0, time.Minute, 0, 3, 750 * ms, 1500 * ms, codes.Aborted},
		{"told nothing", -1, time.Minute, 0, 3, 750 * ms, 1500 * ms, codes.Aborted},
		{"told to come in an hour", time.Hour, 0, 0, 1, 0, 0, codes.Aborted},
		{"told to come in more than a minute", time.Minute + 1, 0, 0, 1, 0, 0, codes.Aborted},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.deadline > 0 {
					var end context.CancelFunc
					ctx, end = context.WithTimeout(ctx, c.deadline)
					defer end()
				}
				if c.cancel > 0 {
					time.AfterFunc(c.cancel, cancel)
				}
				invoke, attempts := denied(c.delay, ours, grpcmw.ErrorDomain)
				start := time.Now()
				err := mustClient(t, grpcmw.RetryHeld(2)).Unary()(ctx, unary, nil, nil, nil, invoke)
				took := time.Since(start)
				if *attempts != c.attempts || took < c.least || took > c.most || status.Code(err) != c.code {
					t.Errorf("%v after %d attempts and %v", err, *attempts, took)
				}
			})
		})
	}
}

func TestNewClientListsEveryOptionThatIsOutOfRange(t *testing.T) {
	c, err := grpcmw.NewClient(grpcmw.RetryHeld(-5), grpcmw.RetryHeld(1001), nil,
		grpcmw.MaxRetryWait(0), grpcmw.MaxRetryWait(25*time.Hour), grpcmw.OnRetry(nil))
	if c != nil || !errors.Is(err, core.ErrOption) {
		t.Fatalf("NewClient = %v, %v", c, err)
	}
	for _, want := range []string{
		"RetryHeld(-5)", "RetryHeld(1001)", "MaxRetryWait(0s)", "MaxRetryWait(25h0m0s)", "OnRetry's function is nil",
	} {
		if !strings.Contains(err.Error(), "grpcmw: "+want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a nil Client was installed")
		}
	}()
	c.DialOptions()
}

func TestAnOwnBoundForTheHintAndWhatOnRetryIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		invoke, attempts := denied(2*time.Hour, metadata.Pairs("latchkey-denied", "0"), grpcmw.ErrorDomain)
		var told []grpcmw.Retry
		client := mustClient(t, grpcmw.RetryHeld(2), grpcmw.MaxRetryWait(2*time.Hour), grpcmw.OnRetry(
			func(_ context.Context, r grpcmw.Retry) { told = append(told, r) }))
		start := time.Now()
		err := client.Unary()(idgen.NewContext(t.Context(), "the-call"), unary, nil, nil, nil, invoke)
		if status.Code(err) != codes.Aborted || *attempts != 3 || len(told) != 2 {
			t.Fatalf("%v after %d attempts, told %v", err, *attempts, told)
		}
		if took := time.Since(start); took != told[0].Wait+told[1].Wait {
			t.Errorf("took %v, told %v", took, told)
		}
		for i, r := range told {
			r.Wait = 0
			if want := (grpcmw.Retry{Method: unary, Attempt: i + 1, Reason: core.ReasonHeld, Code: codes.Aborted, RequestID: "the-call"}); r != want {
				t.Errorf("told %+v, want %+v", r, want)
			}
		}
	})
}
