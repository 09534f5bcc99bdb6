// Package onceper tells which things have had their log record.
package onceper

import "sync"

// limit is how many names are kept. A program has fewer routes and methods; where a
// client chooses the name, there is no end to them.
const limit = 100

// Set is the names that were seen. The zero Set is empty. It is safe for concurrent
// use.
type Set struct {
	mu   sync.Mutex
	seen map[string]bool
}

// First reports whether name is seen for the first time. When the Set is full, no
// further name is.
func (s *Set) First(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[name] || len(s.seen) >= limit {
		return false
	}
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	s.seen[name] = true
	return true
}
