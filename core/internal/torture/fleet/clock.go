package fleet

import "time"

// Now is when it is, by the clock that the times of an [Outcome] are of.
func Now() time.Duration { return now() }
