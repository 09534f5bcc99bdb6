package idgen

const (
	hexAlphabet = "0123456789abcdef"
	hexLen      = 16
)

// Hex returns the hexadecimal form: 16 digits in lower case. Texts sort as their
// IDs. (The verb %x is something else: package fmt applies it to the text that
// String returns.)
func (id ID) Hex() string {
	var buf [hexLen]byte
	return string(id.AppendHex(buf[:0]))
}

// AppendHex appends the hexadecimal form to b. It allocates only if b is too
// short.
func (id ID) AppendHex(b []byte) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, hexAlphabet[uint64(id)>>shift&15])
	}
	return b
}

// ParseHex reads the hexadecimal form: exactly 16 of 0123456789abcdef, of which
// the first is at most 7. Upper case is not taken. The error is a [*ParseError],
// which matches [ErrInvalidID], and the ID is then zero.
func ParseHex(s string) (ID, error) {
	n, f := parseHex(s)
	if f.found() {
		return 0, newParseError("hex", s, f)
	}
	return n, nil
}

func parseHex(s string) (ID, fault) {
	var n uint64
	for i := range len(s) {
		if i == hexLen {
			return 0, fault{offset: i, reason: "too long"}
		}
		c, v := s[i], byte(0)
		switch {
		case '0' <= c && c <= '9':
			v = c - '0'
		case 'a' <= c && c <= 'f':
			v = c - 'a' + 10
		default:
			return 0, fault{offset: i, reason: "not one of " + hexAlphabet}
		}
		if i == 0 && v > 7 {
			return 0, fault{offset: i, reason: "too large: the first digit is at most 7"}
		}
		n = n<<4 | uint64(v)
	}
	if len(s) < hexLen {
		return 0, fault{offset: len(s), reason: "too short"}
	}
	return ID(n), fault{}
}
