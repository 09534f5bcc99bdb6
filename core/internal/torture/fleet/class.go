package fleet

import (
	"context"
	"errors"

	"github.com/latchkey-go/latchkey/core"
)

// The classes of what an Acquire can fail with.
const (
	classHeld byte = iota
	classDeadline
	classBackend
	classTimeout
	classQueueFull
	classOther
)

var classNames = [...]string{"held", "deadline", "backend", "timeout", "queue full", "other"}

func classOf(err error) byte {
	for class, is := range map[byte]error{
		classHeld: core.ErrHeld, classDeadline: context.DeadlineExceeded, classBackend: core.ErrBackend,
		classTimeout: core.ErrWaitTimeout, classQueueFull: core.ErrQueueFull,
	} {
		if errors.Is(err, is) {
			return class
		}
	}
	return classOther
}

// The classes of what a process finds by itself.
const (
	findingUntold byte = iota // O4
	findingLate               // O7
)
