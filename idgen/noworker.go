package idgen

import (
	"fmt"
	"time"
)

// NoWorkerError tells how many worker numbers are taken. It matches
// [ErrNoWorker]. Raise [WorkerBits], under another name, or run fewer generators:
// a process needs one for each name, not one for each goroutine.
type NoWorkerError struct {
	Name  string    // of the generators
	Taken int       // all there are
	Until time.Time // when the first of the leases ends if it is not extended, by the clock of Redis
}

func (e *NoWorkerError) Error() string {
	return fmt.Sprintf("%v: %s: %d of %d; the first lease ends at %s unless it is extended",
		ErrNoWorker, e.Name, e.Taken, e.Taken, e.Until.UTC().Format(time.RFC3339Nano))
}

// Unwrap returns [ErrNoWorker].
func (e *NoWorkerError) Unwrap() error { return ErrNoWorker }

// ErrorType is the error's name in telemetry (the error.type attribute).
func (e *NoWorkerError) ErrorType() string { return "no_worker" }
