package remote

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"
)

// Places in an entry. script/prelude.lua has the same, counted from 1.
const (
	flagAt    = 0
	modeAt    = 1
	processAt = 2
	counterAt = 34
	ttlAt     = 50
	metaAt    = 58

	modeExclusive = 'x'
)

// Process names one Locker: 128 random bits, in hex.
type Process string

// NewProcess returns a name that nobody else has.
func NewProcess() Process {
	var b [16]byte
	rand.Read(b[:]) // never fails, since Go 1.24
	return Process(hex.EncodeToString(b[:]))
}

// ID is an entry's identity: unique per wait, never used twice. Ownership is
// the equality of all of it.
type ID string

// MakeID returns the identity of a process's entry number counter.
func MakeID(p Process, counter uint64) ID {
	return ID(fmt.Sprintf("%s%016x", p, counter))
}

// Of tells whether id is of process p, and its counter.
func (id ID) Of(p Process) (counter uint64, ok bool) {
	if len(id) != ttlAt-processAt || Process(id[:counterAt-processAt]) != p {
		return 0, false
	}
	counter, err := strconv.ParseUint(string(id[counterAt-processAt:]), 16, 64)
	return counter, err == nil
}

// Entry is what stands in Redis for a wait, and then for a lease: fixed-width
// text, so that redis-cli shows it and a script can compare parts of it at
// their places, followed by metadata of any length.
type Entry string

// MakeEntry returns the entry for id. The ttl is in whole milliseconds, at
// most 24 h.
func MakeEntry(id ID, ttl time.Duration, meta string) Entry {
	return Entry(fmt.Sprintf("0%c%s%08d%s", modeExclusive, id, ttl.Milliseconds(), meta))
}

// Placeholder returns an entry that stands for id where only the identity
// counts: in a release on behalf of an entry that is no longer known.
func Placeholder(id ID) Entry { return MakeEntry(id, time.Millisecond, "") }

// valid tells whether e has the shape of an entry.
func (e Entry) valid() bool {
	if len(e) < metaAt || e[modeAt] != modeExclusive {
		return false
	}
	_, err := strconv.ParseUint(string(e[ttlAt:metaAt]), 10, 64)
	return err == nil
}

// ID returns the identity, "" if e is not an entry.
func (e Entry) ID() ID {
	if !e.valid() {
		return ""
	}
	return ID(e[processAt:ttlAt])
}

// Process returns the process, "" if e is not an entry.
func (e Entry) Process() Process {
	if !e.valid() {
		return ""
	}
	return Process(e[processAt:counterAt])
}

// Meta returns the metadata, "" if e is not an entry.
func (e Entry) Meta() string {
	if !e.valid() {
		return ""
	}
	return string(e[metaAt:])
}
