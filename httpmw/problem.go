package httpmw

import (
	"net/http"

	"github.com/latchkey-go/latchkey/core"
)

// tagAuthority begins the URIs of problems and requests. They are tag URIs (RFC
// 4151), which name without promising that there is something to fetch; RFC 9457,
// section 3.1.1, has them for types that do not resolve.
const tagAuthority = "tag:latchkey-go.github.io,2026:"

// problem is what the answer to a denied request says. All of it is fixed text.
type problem struct {
	status int
	slug   string
	title  string
	detail string
	// retry: the same request may succeed later, so the answer says when.
	retry bool
	// closing: the client's next request should go to another process.
	closing bool
}

// problemOf is the table of answers. A reason that it does not know is
// answered like core.ReasonInternal.
func problemOf(reason core.Reason) problem {
	switch reason {
	case core.ReasonHeld:
		return problem{
			status: http.StatusConflict, slug: "lock-held", retry: true,
			title:  "Lock held",
			detail: "Another request with the same lock key is being processed.",
		}
	case core.ReasonWaitTimeout:
		return problem{
			status: http.StatusConflict, slug: "lock-wait-timeout", retry: true,
			title:  "Lock wait timed out",
			detail: "Other requests with the same lock key did not finish within the longest wait.",
		}
	case core.ReasonQueueFull:
		return problem{
			status: http.StatusTooManyRequests, slug: "lock-queue-full", retry: true,
			title:  "Too many requests in line",
			detail: "As many requests with the same lock key as allowed are waiting already.",
		}
	case core.ReasonDeadline:
		return problem{
			status: http.StatusGatewayTimeout, slug: "lock-deadline-exceeded",
			title:  "Deadline exceeded",
			detail: "The deadline of the request passed before it got its lock.",
		}
	case core.ReasonKeyMissing:
		return problem{
			status: http.StatusBadRequest, slug: "lock-key-missing",
			title:  "Lock key missing",
			detail: "The request lacks a part of its lock key.",
		}
	case core.ReasonKeyInvalid:
		return problem{
			status: http.StatusBadRequest, slug: "lock-key-invalid",
			title:  "Lock key invalid",
			detail: "A part of the request's lock key is malformed or ambiguous.",
		}
	case ReasonBodyTooLarge:
		return problem{
			status: http.StatusRequestEntityTooLarge, slug: "lock-body-too-large",
			title:  "Body too large",
			detail: "The request's body is longer than what is read before its lock is taken.",
		}
	case ReasonBodyUnsupported:
		return problem{
			status: http.StatusUnsupportedMediaType, slug: "lock-body-unsupported",
			title:  "Body not supported",
			detail: "The lock key cannot be read from a body of this type or encoding.",
		}
	case ReasonBodyTimeout:
		return problem{
			status: http.StatusRequestTimeout, slug: "lock-body-timeout",
			title:  "Body timed out",
			detail: "The request's body did not come in time, so the request was not processed.",
		}
	case core.ReasonBackend:
		return problem{
			status: http.StatusServiceUnavailable, slug: "lock-backend-unavailable", retry: true,
			title:  "Lock backend unavailable",
			detail: "The lock could not be taken, so the request was not processed.",
		}
	case core.ReasonShuttingDown:
		return problem{
			status: http.StatusServiceUnavailable, slug: "lock-shutting-down", closing: true,
			title:  "Shutting down",
			detail: "The server is shutting down and did not process the request.",
		}
	case core.ReasonLost:
		return problem{
			status: http.StatusInternalServerError, slug: "lock-lost",
			title:  "Lock lost",
			detail: "The lock was lost while the request was being processed. What it did may have taken effect.",
		}
	case core.ReasonStale:
		return problem{
			status: http.StatusConflict, slug: "lock-stale",
			title:  "Lock stale",
			detail: "A later holder of the lock has written already, so the write of this request was refused.",
		}
	case core.ReasonSelfDeadlock:
		return problem{
			status: http.StatusInternalServerError, slug: "lock-self-deadlock",
			title:  "Self-deadlock",
			detail: "The request would have waited for a lock that it holds itself.",
		}
	default:
		return problem{
			status: http.StatusInternalServerError, slug: "lock-internal",
			title:  "Internal error",
			detail: "The lock could not be taken because of a fault in the server.",
		}
	}
}
