package grpcmw

import (
	"context"
	"slices"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// RetryHeld tries a call again that was denied, at most n times; n below 1 is
// never. It knows denials from other errors, and its handler has not run then, so
// that it is safe for any method. It waits for as long as the denial's RetryInfo
// says; where the call's deadline would pass before, and after a denial without
// RetryInfo, it returns the denial at once.
//
// A retry policy in the channel's service config that covers the code of a denial
// goes first, and its attempts count: together they are not more than n or what
// the policy has made, whichever is more. An attempt that RetryHeld makes after
// such a policy has given up is not repeated by it, whatever its outcome.
func RetryHeld(n int) ClientOption { return clientOption(func(c *client) { c.retries = n }) }

// retry is what is left of one call's attempts.
type retry struct {
	left int
	// single: the policy of the service config has tried already, and must not do
	// so again for each further attempt.
	single bool
}

// options returns the call's options with those of the next attempt.
func (r *retry) options(opts []grpc.CallOption, more ...grpc.CallOption) []grpc.CallOption {
	if r.single {
		// grpc-go repeats nothing that it cannot keep a copy of.
		more = append(more, grpc.MaxRetryRPCBufferSize(0))
	}
	return slices.Concat(opts, more)
}

// after returns whether to try again, once it is time to, or else the call's
// error.
func (r *retry) after(ctx context.Context, err error, trailer metadata.MD) (again bool, outcome error) {
	delay, previous, ok := retryable(err, trailer)
	if !ok {
		return false, err
	}
	r.left -= previous
	r.single = r.single || previous > 0
	if r.left <= 0 {
		return false, err
	}
	r.left--
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= delay {
		return false, err
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true, nil
	case <-ctx.Done():
		return false, status.FromContextError(ctx.Err()).Err()
	}
}

// retryable tells whether err is a denial, of the server that was called, that
// makes sense to be tried again, after which time, and how often the policy of the
// service config has.
func retryable(err error, trailer metadata.MD) (delay time.Duration, previous int, ok bool) {
	denied := trailer[deniedKey]
	if err == nil || len(denied) != 1 || slices.Contains(trailer[pushbackKey], noRetry) {
		return 0, 0, false
	}
	previous, convErr := strconv.Atoi(denied[0])
	if convErr != nil || previous < 0 {
		return 0, 0, false
	}
	ours := false
	var info *errdetails.RetryInfo
	for _, d := range status.Convert(err).Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			ours = d.GetDomain() == ErrorDomain
		case *errdetails.RetryInfo:
			info = d
		}
	}
	if !ours || info == nil {
		return 0, 0, false
	}
	return max(0, info.GetRetryDelay().AsDuration()), previous, true
}
