package grpcmw

import (
	"context"
	"errors"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/internal/denial"
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

// verdict is the answer to a denial, from the table that both transports have.
type verdict struct {
	code codes.Code
	text string // fixed: no key, no internal error
	// after is when trying again makes sense; zero if it does not.
	after    time.Duration
	pushback denial.Pushback
}

func verdictOn(d *core.Denial) verdict {
	row := denial.Of(d.Reason)
	return verdict{codes.Code(row.Code), row.Detail, row.RetryAfter(d), row.Pushback}
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
	v := verdictOn(d)
	if ran {
		v.after, v.pushback = 0, denial.Never
	} else {
		v.code = c.terms.code(d.Reason, v.code)
	}
	if d.Reason == core.ReasonSelfDeadlock && !ran {
		v.text += " Its key: " + c.key.text
	}
	// Whole milliseconds, as the pushback has them, and never below the hint.
	v.after = (v.after + time.Millisecond - 1).Truncate(time.Millisecond)
	trailer := metadata.MD{}
	switch v.pushback {
	case denial.Later:
		trailer[pushbackKey] = []string{strconv.FormatInt(v.after.Milliseconds(), 10)}
	case denial.Never:
		trailer[pushbackKey] = []string{noRetry}
	}
	if v.after > 0 {
		trailer[deniedKey] = []string{previousAttempts(c.ctx)}
	}
	return &deniedError{statusOf(v, d), d}, trailer
}

// statusOf returns the status for d, with RetryInfo if there is a time after
// which to try again.
func statusOf(v verdict, d *core.Denial) *status.Status {
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: string(d.Reason), Domain: ErrorDomain}}
	if v.after > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(v.after)})
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

// denied is the error for d of a stream whose handler has begun.
func denied(d *core.Denial) *deniedError { return &deniedError{statusOf(verdictOn(d), d), d} }

func badRequest(d *core.Denial) *errdetails.BadRequest {
	v := &errdetails.BadRequest_FieldViolation{Field: requestPart, Description: "does not give a valid lock key", Reason: string(d.Reason)}
	if f, ok := errors.AsType[*keyFault](d); ok {
		v.Field, v.Description = f.part, f.text
	}
	return &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{v}}
}
