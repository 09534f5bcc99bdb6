package idgen

import (
	"encoding"
	"math"
	"strconv"
)

var (
	_ encoding.TextAppender    = ID(0)
	_ encoding.TextMarshaler   = ID(0)
	_ encoding.TextUnmarshaler = (*ID)(nil)
)

// maxDecimalLen is the length of 2^63-1 in decimal.
const maxDecimalLen = 19

// String returns the decimal form, without leading zeros.
func (id ID) String() string { return strconv.FormatInt(int64(id), 10) }

// AppendText appends the decimal form to b. It allocates only if b is too short,
// and fails with an error that matches [ErrInvalidID] if the ID is negative.
func (id ID) AppendText(b []byte) ([]byte, error) {
	if err := id.checked(); err != nil {
		return b, err
	}
	return strconv.AppendInt(b, int64(id), 10), nil
}

// MarshalText returns the decimal form, which is that of keys of a map in JSON,
// too. It fails as AppendText does.
func (id ID) MarshalText() ([]byte, error) {
	return id.AppendText(make([]byte, 0, maxDecimalLen))
}

// UnmarshalText reads the decimal form, as [ParseID]. After an error the ID is
// unchanged.
func (id *ID) UnmarshalText(text []byte) error { return setDecimal(id, text) }

// ParseID reads the decimal form: 0, or 1 to 19 digits of which the first is not
// 0, up to 9223372036854775807. Nothing else is taken, neither signs nor spaces.
// The error is a [*ParseError], which matches [ErrInvalidID], and the ID is then
// zero.
func ParseID(s string) (id ID, err error) {
	err = setDecimal(&id, s)
	return id, err
}

func setDecimal[T text](id *ID, s T) error {
	v, f := parseDecimal(s)
	if f.found() {
		return newParseError("decimal", s, f)
	}
	*id = v
	return nil
}

func parseDecimal[T text](s T) (ID, fault) {
	if len(s) == 0 {
		return 0, fault{reason: "empty"}
	}
	var n int64
	for i := range len(s) {
		d := int64(s[i]) - '0'
		switch {
		case d < 0 || d > 9:
			return 0, fault{offset: i, reason: "not a digit"}
		case i == 1 && n == 0:
			return 0, fault{offset: i, reason: "a leading zero"}
		case i >= maxDecimalLen-1 && n > (math.MaxInt64-d)/10:
			return 0, fault{offset: i, reason: "greater than 9223372036854775807"}
		}
		n = n*10 + d
	}
	return ID(n), fault{}
}
