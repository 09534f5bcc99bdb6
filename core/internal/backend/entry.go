package backend

import (
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// Places in an entry. script/prelude.lua has the same, counted from 1.
const (
	flagAt    = 0
	modeAt    = 1
	processAt = 2
	counterAt = 34
	ttlAt     = 50
	wantAt    = 58
	metaAt    = 63

	modeExclusive = 'x'
	modeBroken    = 'b' // of a lease, see script/break.lua
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
	var b strings.Builder
	b.Grow(ttlAt - processAt)
	b.WriteString(string(p))
	for shift := 60; shift >= 0; shift -= 4 {
		b.WriteByte(hexDigits[counter>>shift&15])
	}
	return ID(b.String())
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
// most 24 h. tokens is how many fencing tokens are to be reserved with the
// lease, whoever grants it: at least 1, at most 99,999.
func MakeEntry[M string | []byte](id ID, ttl time.Duration, tokens int, meta M) Entry {
	var b strings.Builder
	b.Grow(metaAt + len(meta))
	b.WriteByte('0')
	b.WriteByte(modeExclusive)
	b.WriteString(string(id))
	writePadded(&b, int(ttl.Milliseconds()), wantAt-ttlAt)
	writePadded(&b, max(1, min(tokens, maxTokens)), metaAt-wantAt)
	b.Write([]byte(meta))
	return Entry(b.String())
}

// writePadded writes n in decimal, with zeros before it to the given width.
func writePadded(b *strings.Builder, n, width int) {
	var digits [8]byte
	for i := width - 1; i >= 0; i-- {
		digits[i] = byte('0' + n%10)
		n /= 10
	}
	b.Write(digits[:width])
}

// valid tells whether e has the shape of an entry.
func (e Entry) valid() bool {
	if len(e) < metaAt || e[modeAt] != modeExclusive && e[modeAt] != modeBroken {
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

// Broken tells whether an operator has broken the lease.
func (e Entry) Broken() bool { return e.valid() && e[modeAt] == modeBroken }

// TTL returns the time to live that a lease of this entry is given, 0 if e is not
// an entry.
func (e Entry) TTL() time.Duration {
	if !e.valid() {
		return 0
	}
	ms, _ := strconv.Atoi(string(e[ttlAt:wantAt]))
	return time.Duration(ms) * time.Millisecond
}
