package keys

import (
	"crypto/sha256"
	"encoding/base64"
	"unicode/utf8"
)

const (
	// hashMark begins the hash of a shortened key.
	hashMark = "%#"
	// headLen is what a shortened key keeps of its beginning: MaxLen less the
	// mark and the 43 characters that 256 bits take in unpadded base64.
	headLen = MaxLen - len(hashMark) - 43
	// bufferSize holds every key that is not hashed, and a little more, so that
	// the slice that keys are built in can stay on the stack.
	bufferSize = MaxLen + 56
)

// finish turns the text of at least one part into the key. All 256 bits of the
// hash are kept, because whoever sends the parts may look for collisions, and
// finding one takes the square root of the space.
func finish(text []byte) string {
	switch {
	case len(text) == 0:
		return emptyText
	case len(text) <= MaxLen:
		return string(text)
	}
	sum := sha256.Sum256(text)
	key := make([]byte, 0, MaxLen)
	key = append(key, text[:cut(text, headLen)]...)
	key = append(key, hashMark...)
	return string(base64.RawURLEncoding.AppendEncode(key, sum[:]))
}

// cut returns the greatest n up to limit at which text can be cut without
// breaking a character or one of the marks that begin with a percent sign. Were
// a mark broken, what is left of it could make another mark with the hash's.
func cut(text []byte, limit int) int {
	n := 0
	for {
		_, size := utf8.DecodeRune(text[n:])
		if text[n] == '%' {
			size = 2
			if c := text[n+1]; c >= '0' && c <= '9' || c >= 'A' && c <= 'F' {
				size = 3
			}
		}
		if n+size > limit {
			return n
		}
		n += size
	}
}
