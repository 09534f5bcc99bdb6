package httpmw

import (
	"net/http"

	"github.com/latchkey-go/latchkey/core"
)

// preset chooses the statuses of contention. The rest of an answer, its problem
// type included, stays the same: clients go by the reason.
type preset uint8

const (
	standard preset = iota
	transparentRetry
	status423
)

// TransparentRetry answers contention (LOCK_HELD, LOCK_WAIT_TIMEOUT and
// LOCK_QUEUE_FULL) with 503 instead of 409 and 429. It is for proxies and stock
// clients, many of which try again on their own after 503 and its Retry-After,
// and after neither of the others. The handler has not run, so that is safe for
// any method.
//
// Think of who else counts 503: alerts, circuit breakers, and load balancers
// that take a server for unhealthy. It excludes [Status423].
func TransparentRetry() Option { return setPreset(transparentRetry) }

// Status423 answers LOCK_HELD and LOCK_WAIT_TIMEOUT with 423 Locked (RFC 4918,
// section 11.3) instead of 409, for APIs in which 409 means something else, such
// as an edit conflict that trying again does not solve. Stock clients do not try
// again after 423. LOCK_QUEUE_FULL stays 429. It excludes [TransparentRetry].
func Status423() Option { return setPreset(status423) }

func setPreset(p preset) Option {
	return option(func(o *options) {
		if o.preset != standard && o.preset != p {
			o.bad("TransparentRetry and Status423 exclude each other")
		}
		o.preset = p
	})
}

// status is that of the answer for reason, which is usual without the preset.
func (p preset) status(reason core.Reason, usual int) int {
	switch {
	case p == transparentRetry &&
		(reason == core.ReasonHeld || reason == core.ReasonWaitTimeout || reason == core.ReasonQueueFull):
		return http.StatusServiceUnavailable
	case p == status423 && (reason == core.ReasonHeld || reason == core.ReasonWaitTimeout):
		return http.StatusLocked
	}
	return usual
}
