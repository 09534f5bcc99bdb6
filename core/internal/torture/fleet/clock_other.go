//go:build !linux

package fleet

import "time"

// now is the wall clock, which the processes of the machine share.
func now() time.Duration { return time.Duration(time.Now().UnixNano()) }
