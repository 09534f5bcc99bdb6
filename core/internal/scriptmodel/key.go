package scriptmodel

import (
	"slices"
	"time"
)

// queueTTL is how long a queue outlives the last sign of its waiters.
const queueTTL = time.Minute

// Entry is what a process puts into Redis: first in the queue, then as the lease.
type Entry struct {
	ID
	TTL    time.Duration // whole milliseconds
	Tokens int           // how many fencing tokens it asks for
	Meta   string
}

// ID is an entry's identity.
type ID struct {
	Process uint8
	Number  uint32
}

// Lease is an entry that owns the key. The zero Lease is none.
type Lease struct {
	Entry
	Held      bool
	Contended bool // others wait
	Broken    bool // by an operator
	// Left is what remains of its time to live.
	Left time.Duration
}

// Place is an entry in the queue.
type Place struct {
	Entry
	Ticket uint64
}

// Key is what stands in Redis for one key. Its zero value is a free key.
type Key struct {
	Lease Lease
	Queue []Place // the first in line in front
	// QueueLeft is what remains of the queue's time to live.
	QueueLeft time.Duration
	// Fence is the last fencing token of the key's bucket.
	Fence uint64
}

// Clone returns a copy that shares nothing with k.
func (k *Key) Clone() Key {
	c := *k
	c.Queue = slices.Clone(k.Queue)
	return c
}

// Advance lets time pass.
func (k *Key) Advance(d time.Duration) {
	if k.Lease.Left -= d; k.Lease.Left <= 0 {
		k.Lease = Lease{}
	}
	if k.QueueLeft -= d; k.QueueLeft <= 0 || len(k.Queue) == 0 {
		k.Queue, k.QueueLeft = nil, 0
	}
}

// position is e's place in the queue, from 1; 0 if it is not in it. It goes by all of
// the entry, as Redis does, which knows a member of the queue by its text.
func (k *Key) position(e Entry) int {
	return 1 + slices.IndexFunc(k.Queue, func(p Place) bool { return p.Entry == e })
}

// owned reports whether the lease is id's.
func (k *Key) owned(id ID) bool { return k.Lease.Held && k.Lease.ID == id }
