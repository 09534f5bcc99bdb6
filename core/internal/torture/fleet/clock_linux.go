package fleet

import (
	"time"

	"golang.org/x/sys/unix"
)

// now is a time that all processes of the machine share, and that nobody sets.
// Go's own monotonic time has no common epoch.
func now() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // it takes no clock that is not there
	}
	return time.Duration(ts.Nano())
}
