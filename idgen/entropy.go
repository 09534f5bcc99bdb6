package idgen

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
)

// entropy is a stock of random bytes. One read from the kernel costs a few
// hundred nanoseconds, whatever its size, so it pays to read many bytes at a
// time. The price: a virtual machine that is copied while it runs is copied
// with its stock (see the package documentation).
type entropy struct {
	left  int // bytes at the end of stock that are still unused
	stock [512]byte
}

// stocks is a cache, and not state: whether a stock comes out of it or is made
// anew cannot be told from the bytes.
var stocks = sync.Pool{New: func() any { return new(entropy) }}

// take returns n ≤ len(stock) bytes that nobody else gets. They are good until
// e goes back to the pool.
func (e *entropy) take(n int) []byte {
	if e.left < n {
		// Never fails: since Go 1.24 the program ends instead.
		rand.Read(e.stock[:])
		e.left = len(e.stock)
	}
	b := e.stock[len(e.stock)-e.left:][:n]
	e.left -= n
	return b
}

func (e *entropy) uint64() uint64 { return binary.NativeEndian.Uint64(e.take(8)) }
