package grpcmw

import (
	"context"
	"slices"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/internal/denial"
	"github.com/latchkey-go/latchkey/internal/retry"
)

// DefaultMaxRetryWait is the longest hint that [RetryHeld] follows, unless
// [MaxRetryWait] says otherwise.
const DefaultMaxRetryWait = retry.DefaultMaxWait

// RetryHeld makes a [Client] repeat a call that was denied its lock, at most n
// times, from 0, the default, to 1000.
//
// What is repeated are the denials of this package whose handler has not run, so
// that it is safe with every method: LOCK_HELD, LOCK_WAIT_TIMEOUT,
// LOCK_QUEUE_FULL, LOCK_BACKEND_UNAVAILABLE and LOCK_SHUTTING_DOWN. They are told by their details and their trailer, not by their
// code. Never LOCK_LOST and LOCK_STALE, whose handler has run, nor another error,
// after which nobody knows, nor the denial of another server that a handler passes
// on.
//
// The next attempt comes not before the server's hint (RetryInfo) and up to a
// quarter of it later, so that clients who were given the same hint do not come
// back together. Without a hint it comes after 250 to 500 ms, and twice that after
// each further attempt, up to 8 to 16 s. An attempt that could not begin within
// the call's deadline, or is asked to wait longer than [MaxRetryWait], is not made:
// the caller gets the last denial at once. If the call's context ends during the
// wait, the call ends as grpc-go ends it, with CANCELLED or DEADLINE_EXCEEDED.
//
// Each attempt gets in line anew, behind those who came in the meantime. Where the
// server can be told to wait longer ([Wait]), that is fairer and cheaper.
//
// A retry policy in the channel's service config that covers the code of a denial
// goes first, and its attempts count: together they are not more than n or what
// the policy has made, whichever is more. An attempt that RetryHeld makes after
// such a policy has given up is not repeated by it, whatever its outcome.
func RetryHeld(n int) ClientOption {
	return clientOption(func(c *Client) {
		if err := c.policy.SetRetries(n); err != nil {
			c.bad("%v", err)
		}
	})
}

// MaxRetryWait is the longest hint that [RetryHeld] follows, from 1 ms to 24
// hours; the default is [DefaultMaxRetryWait]. A client that is asked to wait
// longer does not come early: it gets the denial.
func MaxRetryWait(d time.Duration) ClientOption {
	return clientOption(func(c *Client) {
		if err := c.policy.SetMaxWait(d); err != nil {
			c.bad("%v", err)
		}
	})
}

// OnRetry is called before each wait for a further attempt, to log or count it.
// The context is the call's. fn is called by many calls at once.
func OnRetry(fn func(context.Context, Retry)) ClientOption {
	return clientOption(func(c *Client) {
		if c.onRetry = fn; fn == nil {
			c.bad("OnRetry's function is nil")
		}
	})
}

// Retry is an attempt that was denied and will be followed by another one.
type Retry struct {
	// Method is the full method that is called.
	Method string
	// Attempt is the number of the attempt that was denied, those of a service
	// config's retry policy included; the first is 1.
	Attempt int
	// Reason and Code are the denial's.
	Reason core.Reason
	Code   codes.Code
	// Wait is the time until the next attempt.
	Wait time.Duration
	// RequestID is the x-request-id of all attempts.
	RequestID string
}

// attempts are those of one call.
type attempts struct {
	*Client
	method string
	made   int
	// single: the policy of the service config has tried already, and must not do
	// so again for each further attempt.
	single bool
}

func (c *Client) attempts(method string) attempts { return attempts{Client: c, method: method} }

// options returns the call's options with those of the next attempt.
func (a *attempts) options(opts []grpc.CallOption, more ...grpc.CallOption) []grpc.CallOption {
	if a.single {
		// grpc-go repeats nothing that it cannot keep a copy of.
		more = append(more, grpc.MaxRetryRPCBufferSize(0))
	}
	return slices.Concat(opts, more)
}

// after returns whether to try again, once it is time to, or otherwise the call's
// error.
func (a *attempts) after(ctx context.Context, err error, trailer metadata.MD) (again bool, outcome error) {
	refused, ok := readRefusal(err, trailer)
	if !ok {
		return false, err
	}
	a.made += 1 + refused.previous
	a.single = a.single || refused.previous > 0
	wait, ok := a.policy.Wait(ctx, a.made, refused.after)
	if !ok {
		return false, err
	}
	if a.onRetry != nil {
		a.onRetry(ctx, Retry{
			Method: a.method, Attempt: a.made, Reason: refused.reason, Code: status.Code(err), Wait: wait, RequestID: outgoingID(ctx),
		})
	}
	if retry.Sleep(ctx, wait) != nil {
		return false, status.FromContextError(ctx.Err()).Err()
	}
	return true, nil
}

// refusal is a denial as a client sees it, of a call whose handler did not run.
type refusal struct {
	reason   core.Reason
	after    time.Duration // the hint; not positive if there is none
	previous int           // how often the policy of the service config has tried before
}

// readRefusal reports whether err is a denial of the server that was called, after
// which the call may be sent again.
func readRefusal(err error, trailer metadata.MD) (r refusal, ok bool) {
	marks := trailer[deniedKey]
	if err == nil || len(marks) != 1 || slices.Contains(trailer[pushbackKey], noRetry) {
		return r, false
	}
	previous, convErr := strconv.ParseUint(marks[0], 10, 16)
	if convErr != nil {
		return r, false
	}
	r.previous = int(previous)
	for _, d := range status.Convert(err).Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() == ErrorDomain {
				r.reason = core.Reason(d.GetReason())
			}
		case *errdetails.RetryInfo:
			r.after = d.GetRetryDelay().AsDuration()
		}
	}
	return r, denial.Of(r.reason).Repeatable()
}
