package grpcmw

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/latchkey-go/latchkey/core"
)

// ErrorDomain is the domain of the [errdetails.ErrorInfo] in every denial; its
// reason is the [core.Reason]. Both are stable: clients may match them.
const ErrorDomain = "latchkey-go.github.io"

// pushbackKey tells a client's retry policy when to try again, -1 for never
// (https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback).
// It belongs in the trailer of an answer without headers: after headers no
// client retries.
const pushbackKey = "grpc-retry-pushback-ms"

const noRetry = "-1"

// deniedKey is in the trailer of a denial that makes sense to be tried again, for
// our own client: that the handler of this very call did not run. The status alone
// does not say it, since a handler may pass on the denial of another server.
//
// Its value is how often the client's retry policy had tried before, so that the
// two do not multiply.
const deniedKey = "latchkey-denied"

// attemptsKey is in the metadata of a call that a retry policy has sent again.
const attemptsKey = "grpc-previous-rpc-attempts"

// previousAttempts is the call's own word for it, if that is a number.
func previousAttempts(ctx context.Context) string {
	if sent := metadata.ValueFromIncomingContext(ctx, attemptsKey); len(sent) == 1 {
		if n, err := strconv.ParseUint(sent[0], 10, 16); err == nil {
			return strconv.FormatUint(n, 10)
		}
	}
	return "0"
}

// verdict is a row of the table of answers.
type verdict struct {
	code codes.Code
	text string // fixed: no key, no internal error
	// retryInfo: trying again later makes sense, and the answer says when.
	retryInfo bool
	pushback  pushback
}

type pushback uint8

const (
	unsaid pushback = iota // left to the client's own backoff
	later                  // after the same time as in RetryInfo
	never
)

func verdictOn(r core.Reason) verdict {
	switch r {
	case core.ReasonHeld:
		return verdict{codes.Aborted, "another call with the same key is running", true, later}
	case core.ReasonWaitTimeout:
		return verdict{codes.Aborted, "other calls with the same key took too long", true, later}
	case core.ReasonQueueFull:
		return verdict{codes.ResourceExhausted, "too many calls with the same key are waiting", true, unsaid}
	case core.ReasonDeadline:
		return verdict{codes.DeadlineExceeded, "the deadline passed while the call waited for its lock", false, unsaid}
	case core.ReasonCanceled:
		return verdict{codes.Canceled, "the call was cancelled while it waited for its lock", false, unsaid}
	case core.ReasonKeyMissing:
		return verdict{codes.InvalidArgument, "a part of the call's lock key is missing", false, unsaid}
	case core.ReasonKeyInvalid:
		return verdict{codes.InvalidArgument, "the call's lock key is not valid", false, unsaid}
	case core.ReasonBackend:
		return verdict{codes.Unavailable, "the lock backend is unavailable", true, unsaid}
	case core.ReasonShuttingDown:
		return verdict{codes.Unavailable, "the server is shutting down", false, unsaid}
	case core.ReasonLost:
		return verdict{codes.Internal, "the call's lock was lost while it ran", false, never}
	case core.ReasonStale:
		return verdict{codes.Aborted, "a later call with the same key came first", false, never}
	case core.ReasonSelfDeadlock:
		return verdict{codes.Internal, "the call would wait for a lock that it holds itself", false, never}
	default:
		return verdict{codes.Internal, "the call could not be locked", false, never}
	}
}

// deniedError is a denial as gRPC sends it. It unwraps to the *core.Denial, for
// interceptors around this one.
type deniedError struct {
	status *status.Status
	denial *core.Denial
}

func (e *deniedError) Error() string { return e.status.Err().Error() }

// GRPCStatus is what makes grpc-go send the status.
func (e *deniedError) GRPCStatus() *status.Status { return e.status }

func (e *deniedError) Unwrap() error { return e.denial }

// ErrorType is the denial's name in telemetry.
func (e *deniedError) ErrorType() string { return e.denial.ErrorType() }

// answer returns the status for d and the trailer that belongs with it. If the
// handler ran, trying again is never suggested: then the denial is a loss, a
// stale token, or the outcome of a lock that the handler itself asked for after
// it may have done half its work.
func (c *call) answer(d *core.Denial, ran bool) (*deniedError, metadata.MD) {
	v := verdictOn(d.Reason)
	if ran {
		v.retryInfo, v.pushback = false, never
	} else {
		v.code = c.terms.code(d.Reason, v.code)
	}
	if d.Reason == core.ReasonSelfDeadlock && !ran {
		v.text += " (key: " + c.key.text + ")"
	}
	var after time.Duration
	if v.retryInfo {
		after = retryAfter(d)
	}
	trailer := metadata.MD{}
	switch v.pushback {
	case later:
		trailer[pushbackKey] = []string{strconv.FormatInt(after.Milliseconds(), 10)}
	case never:
		trailer[pushbackKey] = []string{noRetry}
	}
	if v.retryInfo {
		trailer[deniedKey] = []string{previousAttempts(c.ctx)}
	}
	return &deniedError{statusOf(v, d, after), d}, trailer
}

// statusOf returns the status for d, with RetryInfo if there is a time after
// which to try again.
func statusOf(v verdict, d *core.Denial, after time.Duration) *status.Status {
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: string(d.Reason), Domain: ErrorDomain}}
	if after > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(after)})
	}
	if v.code == codes.InvalidArgument {
		details = append(details, badRequest(d))
	}
	st := status.New(v.code, v.text)
	if detailed, err := st.WithDetails(details...); err == nil {
		return detailed
	}
	return st
}

func badRequest(d *core.Denial) *errdetails.BadRequest {
	v := &errdetails.BadRequest_FieldViolation{Field: requestPart, Description: "does not give a valid lock key", Reason: string(d.Reason)}
	if f, ok := errors.AsType[*keyFault](d); ok {
		v.Field, v.Description = f.part, f.text
	}
	return &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{v}}
}

// retryAfter is the denial's hint in whole milliseconds, or about a second if it
// has none. Without the jitter, all that were denied together would come back
// together.
func retryAfter(d *core.Denial) time.Duration {
	if d.RetryAfter <= 0 {
		return 500*time.Millisecond + rand.N(time.Second).Truncate(time.Millisecond)
	}
	return (d.RetryAfter + time.Millisecond - 1).Truncate(time.Millisecond)
}
