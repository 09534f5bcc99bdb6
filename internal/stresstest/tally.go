package stresstest

import (
	"maps"
	"slices"
	"sync"
	"testing"
)

// Tally counts what became of requests. The zero value is empty. It is safe for
// concurrent use.
type Tally struct {
	mu   sync.Mutex
	seen map[string]int
}

// Count adds one.
func (c *Tally) Count(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = map[string]int{}
	}
	c.seen[what]++
}

// Report logs what was seen, and fails the test if anything that should have been
// was not: then it has shown nothing.
func (c *Tally) Report(t *testing.T, want ...string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, what := range slices.Sorted(maps.Keys(c.seen)) {
		t.Logf("%6d %s", c.seen[what], what)
	}
	for _, what := range want {
		if c.seen[what] == 0 {
			t.Errorf("the test never saw: %s", what)
		}
	}
}
