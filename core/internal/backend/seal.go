package backend

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
)

// Sealer makes numbers that nobody can guess out of a counter: a permutation of all
// 64-bit numbers, under a key that no other process has. An entry's identity has
// such a number in it, so that who may only publish messages cannot name an entry
// of this process: a message that does so comes from a script that has read it.
//
// It is a Feistel network of four rounds (Luby and Rackoff, "How to construct
// pseudorandom permutations", 1988) with AES as its function. It is not safe for
// concurrent use.
type Sealer struct {
	function cipher.Block
	in, out  [aes.BlockSize]byte
}

const sealRounds = 4

// NewSealer returns a Sealer with a new key.
func NewSealer() *Sealer {
	var key [16]byte
	rand.Read(key[:]) // never fails, since Go 1.24
	function, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only for a key of another length
	}
	return &Sealer{function: function}
}

// Seal returns the number for n.
func (s *Sealer) Seal(n uint64) uint64 {
	left, right := uint32(n>>32), uint32(n)
	for round := range byte(sealRounds) {
		left, right = right, left^s.round(round, right)
	}
	return uint64(left)<<32 | uint64(right)
}

// Open is the inverse of Seal.
func (s *Sealer) Open(sealed uint64) uint64 {
	left, right := uint32(sealed>>32), uint32(sealed)
	for round := range byte(sealRounds) {
		left, right = right^s.round(sealRounds-1-round, left), left
	}
	return uint64(left)<<32 | uint64(right)
}

func (s *Sealer) round(n byte, half uint32) uint32 {
	s.in[0] = n
	binary.BigEndian.PutUint32(s.in[1:], half)
	s.function.Encrypt(s.out[:], s.in[:])
	return binary.BigEndian.Uint32(s.out[:])
}
