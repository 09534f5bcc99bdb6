package fleet

import (
	"context"
	"errors"

	"github.com/latchkey-go/latchkey/core"
)

// The classes of what an Acquire or a Release can fail with.
const (
	classHeld byte = iota
	classDeadline
	classBackend
	classTimeout
	classQueueFull
	classLost // of a Release only
	classOther
)

var classNames = [...]string{"held", "deadline", "backend", "timeout", "queue full", "lost", "other"}

// classOf goes by the library's own errors first: what is beneath one of them may
// be a deadline of the client's.
func classOf(err error) byte {
	for _, class := range []byte{classHeld, classBackend, classTimeout, classQueueFull, classLost, classDeadline} {
		if errors.Is(err, classErrors[class]) {
			return class
		}
	}
	return classOther
}

var classErrors = [...]error{
	classHeld: core.ErrHeld, classDeadline: context.DeadlineExceeded, classBackend: core.ErrBackend,
	classTimeout: core.ErrWaitTimeout, classQueueFull: core.ErrQueueFull,
	classLost: core.ErrLost,
}
