package main

import (
	"fmt"
	"io"
	"sync"
)

// faults are the errors behind the replicas' "internal error": clients are not
// told them, the operator is. All are counted, and the first is kept, since a
// crowd repeats itself.
type faults struct {
	mu    sync.Mutex
	first error
	count int
}

func (f *faults) note(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count++; f.first == nil {
		f.first = err
	}
}

// writeTo tells of the faults on w, if there were any.
func (f *faults) writeTo(w io.Writer, m mode) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count > 0 {
		fmt.Fprintf(w, "%s: %d internal errors; the first: %v\n", m, f.count, f.first)
	}
}
