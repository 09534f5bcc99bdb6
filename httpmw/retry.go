package httpmw

import (
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/internal/retry"
)

// DefaultMaxRetryWait is the longest hint that [RetryHeld] follows, unless
// [MaxRetryWait] says otherwise.
const DefaultMaxRetryWait = retry.DefaultMaxWait

// RetryHeld makes [Transport] repeat a request that was denied its lock, at most
// n times, from 0, the default, to 1000.
//
// What is repeated are the denials of this package whose handler has not run,
// so that it is safe with every method: LOCK_HELD, LOCK_WAIT_TIMEOUT,
// LOCK_QUEUE_FULL, LOCK_BACKEND_UNAVAILABLE and LOCK_SHUTTING_DOWN. They are told by the type and the reason of the problem, not by
// their status. Never LOCK_LOST and LOCK_STALE, whose handler has run, nor an
// error of the base, after which nobody knows. A server's handler that passes on, with
// [WriteDenial] or as a proxy, a denial with one of those reasons claims this
// for itself: it must have done nothing yet.
//
// The next attempt comes not before the server's hint (retry_after_ms, else
// Retry-After) and up to a quarter of it later, so that clients who were given
// the same hint do not come back together. Without a hint it comes after 250 to
// 500 ms, and twice that after each further attempt, up to 8 to 16 s. An attempt
// that could not begin within the deadline of the request's context (the
// Timeout of an [http.Client] is one), or is asked to wait longer than
// [MaxRetryWait], is not made: the client gets the last denial, whole, and at
// once. If the context ends during the wait, its cause is returned.
//
// A request with a body is repeated if it has a GetBody, as http.NewRequest sets
// it for a bytes.Buffer, bytes.Reader or strings.Reader; no other body can be
// sent twice. If GetBody fails, the client gets the denial. A HEAD request is
// never repeated: its answer has no body, and so no reason.
//
// Each attempt gets in line anew, behind those who came in the meantime. Where
// the server can be told to wait longer ([Wait]), that is fairer and cheaper. To
// a transport that makes spans, each attempt is a request if it is the base, and
// all of them are one if it stands around this one.
//
// With n > 0 an answer that is a problem (application/problem+json) is given to
// the caller when up to 4 KiB of its body have been read.
func RetryHeld(n int) TransportOption {
	return transportOption(func(t *transport) {
		if err := t.policy.SetRetries(n); err != nil {
			t.bad("%v", err)
		}
	})
}

// MaxRetryWait is the longest hint that [RetryHeld] follows, from 1 ms to 24
// hours; the default is [DefaultMaxRetryWait]. A client that is asked to wait
// longer does not come early: it gets the denial.
func MaxRetryWait(d time.Duration) TransportOption {
	return transportOption(func(t *transport) {
		if err := t.policy.SetMaxWait(d); err != nil {
			t.bad("%v", err)
		}
	})
}

// OnRetry is called before each wait for a further attempt, to log or count it.
// The request is the caller's, not to be changed. fn is called by many requests
// at once.
func OnRetry(fn func(*http.Request, Retry)) TransportOption {
	return transportOption(func(t *transport) {
		if t.onRetry = fn; fn == nil {
			t.bad("OnRetry's function is nil")
		}
	})
}

// Retry is an attempt that was denied and will be followed by another one.
type Retry struct {
	// Attempt is the number of the attempt that was denied; the first is 1.
	Attempt int
	// Reason and Status are the denial's.
	Reason core.Reason
	Status int
	// Wait is the time until the next attempt.
	Wait time.Duration
	// RequestID is the X-Request-ID of all attempts.
	RequestID string
}
