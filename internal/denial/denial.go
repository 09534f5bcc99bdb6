// Package denial is the table of what both transports answer to a denied
// request.
package denial

import (
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/core"
)

// Reasons of one transport alone.
const (
	BodyTooLarge    core.Reason = "LOCK_BODY_TOO_LARGE"
	BodyUnsupported core.Reason = "LOCK_BODY_UNSUPPORTED"
	BodyTimeout     core.Reason = "LOCK_BODY_TIMEOUT"
)

// Codes of gRPC, by their numbers: an HTTP service does not need its packages.
// See https://grpc.io/docs/guides/status-codes.
const (
	codeCanceled          = 1
	codeInvalidArgument   = 3
	codeDeadlineExceeded  = 4
	codeResourceExhausted = 8
	codeAborted           = 10
	codeInternal          = 13
	codeUnavailable       = 14
)

// Row is the answer for one reason. All of its text is fixed: it names neither
// the key nor what failed.
type Row struct {
	Title  string
	Detail string
	Status int    // of HTTP
	Slug   string // the end of the problem's type in HTTP
	Code   uint32 // of gRPC
	// Hint is not zero if the handler has not run and the same request may succeed
	// later. Then a client may send it again, and the answer says when. It is the
	// least that is said where the denial has no hint of its own.
	Hint time.Duration
	// Pushback is what a retry policy in gRPC is told.
	Pushback Pushback
	// Close: the client's next request should go to another process.
	Close bool
}

// Pushback is what a client's retry policy is told.
type Pushback uint8

// What a retry policy can be told.
const (
	Unsaid Pushback = iota // it has a backoff of its own
	Later                  // it waits for as long as the hint
	Never                  // it does not try again
)

const (
	usualHint = 500 * time.Millisecond
	// endingHint is for clients of a server that shuts down. Their next attempt may
	// reach the same server, which refuses it as well. Three such attempts outlast a
	// holder that needs three seconds to finish.
	endingHint = time.Second
)

// RetryAfter is when the client of a request that was denied with d should try
// again: the denial's own hint, otherwise once to twice the row's, so that those who were denied together do not come back together. It is zero if
// trying again does not help.
func (r Row) RetryAfter(d *core.Denial) time.Duration {
	switch {
	case r.Hint == 0:
		return 0
	case d.RetryAfter > 0:
		return d.RetryAfter
	}
	return r.Hint + rand.N(r.Hint)
}

// Repeatable reports whether a client may send the request again.
func (r Row) Repeatable() bool { return r.Hint > 0 }

// Of returns the row of a reason. A reason that is not in the table has the row
// of [core.ReasonInternal].
func Of(reason core.Reason) Row {
	if row, ok := table[reason]; ok {
		return row
	}
	return table[core.ReasonInternal]
}

var table = map[core.Reason]Row{
	core.ReasonHeld: {
		Title:  "Lock held",
		Detail: "Another request with the same lock key is being processed.",
		Status: http.StatusConflict, Slug: "lock-held",
		Code: codeAborted, Hint: usualHint, Pushback: Later,
	},
	core.ReasonWaitTimeout: {
		Title:  "Lock wait timed out",
		Detail: "Other requests with the same lock key did not finish within the longest wait.",
		Status: http.StatusConflict, Slug: "lock-wait-timeout",
		Code: codeAborted, Hint: usualHint, Pushback: Later,
	},
	core.ReasonQueueFull: {
		Title:  "Too many requests in line",
		Detail: "As many requests as allowed are waiting already.",
		Status: http.StatusTooManyRequests, Slug: "lock-queue-full",
		Code: codeResourceExhausted, Hint: usualHint,
	},
	core.ReasonDeadline: {
		Title:  "Deadline exceeded",
		Detail: "The deadline of the request passed before it got its lock.",
		Status: http.StatusGatewayTimeout, Slug: "lock-deadline-exceeded",
		Code: codeDeadlineExceeded,
	},
	// HTTP writes no answer. The status is the one that nginx logs.
	core.ReasonCanceled: {
		Title:  "Request cancelled",
		Detail: "The request was cancelled before it got its lock.",
		Status: 499, Slug: "lock-canceled",
		Code: codeCanceled,
	},
	core.ReasonKeyMissing: {
		Title:  "Lock key missing",
		Detail: "The request lacks a part of its lock key.",
		Status: http.StatusBadRequest, Slug: "lock-key-missing",
		Code: codeInvalidArgument,
	},
	core.ReasonKeyInvalid: {
		Title:  "Lock key invalid",
		Detail: "A part of the request's lock key is malformed or ambiguous.",
		Status: http.StatusBadRequest, Slug: "lock-key-invalid",
		Code: codeInvalidArgument,
	},
	BodyTooLarge: {
		Title:  "Body too large",
		Detail: "The request's body is longer than what is read before its lock is taken.",
		Status: http.StatusRequestEntityTooLarge, Slug: "lock-body-too-large",
		Code: codeInvalidArgument,
	},
	BodyUnsupported: {
		Title:  "Body not supported",
		Detail: "The lock key cannot be read from a body of this type or encoding.",
		Status: http.StatusUnsupportedMediaType, Slug: "lock-body-unsupported",
		Code: codeInvalidArgument,
	},
	BodyTimeout: {
		Title:  "Body timed out",
		Detail: "The request's body did not come in time, so the request was not processed.",
		Status: http.StatusRequestTimeout, Slug: "lock-body-timeout",
		Code: codeDeadlineExceeded,
	},
	core.ReasonBackend: {
		Title:  "Lock backend unavailable",
		Detail: "The lock could not be taken, so the request was not processed.",
		Status: http.StatusServiceUnavailable, Slug: "lock-backend-unavailable",
		Code: codeUnavailable, Hint: usualHint,
	},
	core.ReasonShuttingDown: {
		Title:  "Shutting down",
		Detail: "The server is shutting down and did not process the request.",
		Status: http.StatusServiceUnavailable, Slug: "lock-shutting-down", Close: true,
		Code: codeUnavailable, Hint: endingHint, Pushback: Later,
	},
	core.ReasonLost: {
		Title:  "Lock lost",
		Detail: "The lock was lost while the request was being processed. What it did may have taken effect.",
		Status: http.StatusInternalServerError, Slug: "lock-lost",
		Code: codeInternal, Pushback: Never,
	},
	core.ReasonStale: {
		Title:  "Lock stale",
		Detail: "A later holder of the lock has written already, so the write of this request was refused.",
		Status: http.StatusConflict, Slug: "lock-stale",
		Code: codeAborted, Pushback: Never,
	},
	core.ReasonSelfDeadlock: {
		Title:  "Self-deadlock",
		Detail: "The request would have waited for a lock that it holds itself.",
		Status: http.StatusInternalServerError, Slug: "lock-self-deadlock",
		Code: codeInternal, Pushback: Never,
	},
	core.ReasonInternal: {
		Title:  "Internal error",
		Detail: "The lock could not be taken because of a fault in the server.",
		Status: http.StatusInternalServerError, Slug: "lock-internal",
		Code: codeInternal, Pushback: Never,
	},
}
