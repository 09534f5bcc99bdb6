package grpcmw

import (
	"google.golang.org/grpc/codes"

	"github.com/latchkey-go/latchkey/core"
)

// TransparentRetry answers contention (LOCK_HELD, LOCK_WAIT_TIMEOUT and
// LOCK_QUEUE_FULL) with UNAVAILABLE instead of ABORTED and RESOURCE_EXHAUSTED. It
// is for clients and proxies whose retry policies know UNAVAILABLE only. The
// handler has not run, so that is safe for any method; the details, and the
// pushback, are the same.
//
// Think of who else counts UNAVAILABLE: alerts, circuit breakers, and load
// balancers that take a server for unhealthy.
func TransparentRetry() Setting { return Setting{func(t *terms) { t.transparent = true }} }

// code is that of the answer for a reason, which is usual without the preset.
func (t *terms) code(reason core.Reason, usual codes.Code) codes.Code {
	if t.transparent && (reason == core.ReasonHeld || reason == core.ReasonWaitTimeout || reason == core.ReasonQueueFull) {
		return codes.Unavailable
	}
	return usual
}
