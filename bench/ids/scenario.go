package main

import "runtime"

// batch is how many IDs a call makes in the cases of batches.
const batch = 1000

// scenario is one case: who calls, and how.
type scenario struct {
	Name    string `json:"name"`
	Callers int    `json:"callers"`
	Batch   bool   `json:"batch"`
	// Sustained cases are measured after all that a generator has in stock is
	// used up.
	Sustained bool `json:"sustained"`
	title     string
}

const (
	single, parallel, batches = "single", "parallel", "batch"
	sustained1, sustained4    = "sustained, 1 caller", "sustained, 4 callers"
)

// scenarios are all of them, in the order in which they run.
func scenarios() []scenario {
	return []scenario{
		{Name: single, Callers: 1, title: "One goroutine, one ID a call"},
		{Name: parallel, Callers: runtime.GOMAXPROCS(0), title: "A goroutine for each core, one ID a call"},
		{Name: batches, Callers: 1, Batch: true, title: "One goroutine, 1,000 IDs a call"},
		{Name: sustained1, Callers: 1, Sustained: true, title: "As many as there are, one caller"},
		{Name: sustained4, Callers: 4, Sustained: true, title: "As many as there are, four callers"},
	}
}
