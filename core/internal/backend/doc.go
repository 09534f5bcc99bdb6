// Package backend is Redis as the lock sees it: what stands there, the
// operations on it, and the messages that come back. It knows nothing of local
// queues or callers, and never makes one wait: operations are answered through
// a function, from another goroutine. ARCHITECTURE.md has its place among the others.
package backend
