package idgen

// base32Alphabet is Crockford's: without i, l, o and u. It is in the order of
// ASCII, so that texts of one length sort as their numbers.
const base32Alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// The lengths of the base32 forms. In both, the first digit has only three bits
// to itself: 13·5 is 63 + 2, 26·5 is 128 + 2.
const (
	idBase32Len   = 13
	uuidBase32Len = 26
)

// Base32 returns the base32 form: 13 characters of Crockford's alphabet in lower
// case. Texts sort as their IDs.
func (id ID) Base32() string {
	var buf [idBase32Len]byte
	return string(id.AppendBase32(buf[:0]))
}

// AppendBase32 appends the base32 form to b. It allocates only if b is too short.
func (id ID) AppendBase32(b []byte) []byte {
	return appendBase32(b, 0, uint64(id), idBase32Len)
}

// ParseBase32 reads the base32 form: exactly 13 of
// 0123456789abcdefghjkmnpqrstvwxyz, of which the first is at most 7. It is
// strict where Crockford is lenient: it takes neither upper case, nor hyphens, nor
// i, l and o for 1 and 0, because otherwise an ID would have more than one text,
// and each would be another key to a cache or a map. The error is a
// [*ParseError], which matches [ErrInvalidID], and the ID is then zero.
func ParseBase32(s string) (ID, error) {
	_, n, f := parseBase32(s, idBase32Len)
	if f.found() {
		return 0, newParseError("base32", s, f)
	}
	return ID(n), nil
}

// appendBase32 appends the lower 5·digits bits of a 128-bit number.
func appendBase32(b []byte, hi, lo uint64, digits int) []byte {
	var buf [uuidBase32Len]byte
	for i := digits - 1; i >= 0; i-- {
		buf[i] = base32Alphabet[lo&31]
		lo = lo>>5 | hi<<(64-5)
		hi >>= 5
	}
	return append(b, buf[:digits]...)
}

// parseBase32 reads a number of exactly so many digits, the first of which has
// three bits.
func parseBase32[T text](s T, digits int) (hi, lo uint64, _ fault) {
	for i := range len(s) {
		if i == digits {
			return 0, 0, fault{offset: i, reason: "too long"}
		}
		v := base32Value(s[i])
		switch {
		case v > 31:
			return 0, 0, fault{offset: i, reason: "not one of " + base32Alphabet}
		case i == 0 && v > 7:
			return 0, 0, fault{offset: i, reason: "too large: the first character is at most 7"}
		}
		hi = hi<<5 | lo>>(64-5)
		lo = lo<<5 | uint64(v)
	}
	if len(s) < digits {
		return 0, 0, fault{offset: len(s), reason: "too short"}
	}
	return hi, lo, fault{}
}

// base32Value is the index of c in the alphabet, or more than 31.
func base32Value(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'h':
		return c - 'a' + 10
	case c == 'j' || c == 'k':
		return c - 'j' + 18
	case c == 'm' || c == 'n':
		return c - 'm' + 20
	case 'p' <= c && c <= 't':
		return c - 'p' + 22
	case 'v' <= c && c <= 'z':
		return c - 'v' + 27
	}
	return 0xff
}
