// Package engine is one process's side of the lock, as a state machine: its lines of
// requests, what stands in Redis for each of them, and the leases it holds.
//
// A [Machine] takes one event at a time with [Machine.Step], which changes it and
// returns effects: operations to send, alarms to set, outcomes of requests, holders to
// stop. It does nothing else. It has no clock (the time comes with each event), no
// I/O, no goroutine and no lock; what it has to know of the world at once, such as
// whether Redis is down, it asks a [World]. So a run is a list of events: it can be
// printed, repeated, and explored.
//
// Whoever drives a Machine, core's RedisLocker, calls Step under a lock of its own
// and carries the effects out in their order. Scenarios in testdata show what comes of
// which event; the explorer in this package's tests goes through all orders of events
// there are, to a bound.
//
// # One key
//
// A [Line] is one key's requests, in the order of their arrival. One [Entry] at most
// stands in Redis for the line: first as a question (asking), then in the queue there
// (queued), then as the lease (held), which the line's requests pass on among
// themselves. Then it is given up (retired), and never used again. ARCHITECTURE.md has a
// table of what each event does in each of these states.
package engine
