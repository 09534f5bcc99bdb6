//go:build unix

package main

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// slotSize keeps two keys' slots from sharing a cache line.
const slotSize = 64

// witness notices two holders of one key, in any processes: each key has a
// word in a file that all of them map into their memory, with the holder's
// number in it. Entering and leaving costs nanoseconds; a check in Redis would
// be slower than the locks it checks.
type witness struct{ memory []byte }

// newWitness makes the file, with all keys free.
func newWitness(path string, slots int) error {
	return os.WriteFile(path, make([]byte, slots*slotSize), 0o600)
}

// openWitness maps the file.
func openWitness(path string) (*witness, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the mapping stays
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	memory, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	return &witness{memory}, nil
}

func (w *witness) close() error { return syscall.Munmap(w.memory) }

// slot is the word of one key. A mapping starts at a page, so it is aligned.
func (w *witness) slot(i int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&w.memory[i*slotSize : (i+1)*slotSize][0]))
}

// enter marks the key as held by id, which must not be zero, and tells whether
// it was free.
func enter(slot *atomic.Uint64, id uint64) bool { return slot.Swap(id) == 0 }

// leave marks the key as free, unless somebody else has entered since: who did
// has noticed it.
func leave(slot *atomic.Uint64, id uint64) { slot.CompareAndSwap(id, 0) }
