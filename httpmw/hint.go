package httpmw

import (
	"math/rand/v2"
	"time"
)

// retrySeconds returns after in whole seconds, for the Retry-After header, and
// for half of the clients one more. Most hints are far below a second, and their
// jitter is lost when they are rounded up to 1: of a hundred clients that were
// denied in the same moment, a hundred would come back in the same moment.
func retrySeconds(after time.Duration) int64 {
	return ceil(after, time.Second) + rand.N[int64](2)
}

// ceil returns d in units, rounded up: a Retry-After of 0 would be an invitation
// to hammer.
func ceil(d, unit time.Duration) int64 {
	return int64((d-1)/unit) + 1
}
