// Package panics turns a panic in code that is not Latchkey's, such as a hook of
// the Redis client or an observer, into an error. Nobody should lose a lock, or a
// process its life, because of it.
package panics

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
)

// Log logs the first panic of each kind of code, with its stack. The zero Log is
// ready to use, and safe for concurrent use.
type Log struct {
	mu   sync.Mutex
	told map[string]bool
}

// Error is a panic.
type Error struct {
	// What is the code that panicked, Value what it panicked with.
	What  string
	Value any
}

func (e *Error) Error() string { return fmt.Sprintf("%s panicked: %v", e.What, e.Value) }

// Contain is to be deferred. If the function is panicking it ends that, and sets
// *err.
func (l *Log) Contain(what string, err *error) {
	if p := recover(); p != nil {
		*err = l.error(what, p)
	}
}

// Run runs f. Should it panic, that is logged at most, and ends there.
func (l *Log) Run(what string, f func()) {
	var err error
	defer l.Contain(what, &err)
	f()
}

func (l *Log) error(what string, p any) error {
	l.mu.Lock()
	before := l.told[what]
	if l.told == nil {
		l.told = make(map[string]bool)
	}
	l.told[what] = true
	l.mu.Unlock()
	if !before {
		slog.Error("latchkey: "+what+" panicked; this is logged once", "panic", p, "stack", string(debug.Stack()))
	}
	return &Error{what, p}
}
