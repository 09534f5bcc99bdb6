package main

import (
	"runtime"
	"runtime/debug"
)

// memory is what this process uses.
type memory struct {
	heap, stack int64 // bytes: live objects, and stacks
}

// settledMemory collects garbage, twice, as what pools hold goes in two steps,
// and returns what is left.
func settledMemory() memory {
	for range 2 {
		runtime.GC()
	}
	// Stacks of goroutines that have ended stay in use until they are given back.
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return memory{int64(m.HeapAlloc), int64(m.StackInuse)}
}

func (m memory) since(earlier memory) memory {
	return memory{m.heap - earlier.heap, m.stack - earlier.stack}
}

// mallocs counts the heap objects that this process allocates while do runs.
func mallocs(do func()) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs - before.Mallocs)
}
