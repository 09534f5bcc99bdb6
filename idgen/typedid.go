package idgen

import (
	"database/sql/driver"
	"encoding"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// Value is what a [TypedID] can be made of.
type Value interface{ ID | uuid.UUID }

// TypedID is an ID with a prefix that tells what it identifies, such as
//
//	ord_01h455vb4pex5vsknk084sn02q
//
// IDs of different prefixes are different types on purpose, neither assignable
// nor convertible to each other: that of a user cannot be passed where that of
// an order is wanted. A program gives its types names:
//
//	type OrderID = idgen.TypedID[Order, idgen.ID]
//
// It holds the ID or the UUID only; the prefix comes from P. TypedIDs of one
// type can be compared with == and be keys of a map. [Typed] makes new ones,
// [AsTyped] makes them of what is at hand.
//
// The text is the prefix, an underscore, and the ID in base32: 13 characters for
// an [ID] (as [ID.Base32]), 26 for a UUID. With an empty prefix there is no
// underscore. With UUIDs, this is the TypeID specification, version 0.3. Texts of
// one type sort as their IDs. The zero value has a text, too, and is taken back
// from it.
//
// If the prefix breaks the rule (see [Prefix]), everything that returns an error
// fails with one that matches [ErrOption].
type TypedID[P Prefix, V Value] struct {
	// The prefix takes no room. Without it, types that differ in P only could be
	// converted to each other.
	_   P
	raw V
}

func _[P Prefix, V Value](id TypedID[P, V]) (fmt.Stringer, encoding.TextAppender, encoding.TextMarshaler, json.Marshaler, driver.Valuer) {
	return id, id, id, id, id
}

func _[P Prefix, V Value](id *TypedID[P, V]) (encoding.TextUnmarshaler, json.Unmarshaler, scanner) {
	return id, id, id
}

// AsTyped returns an ID or a UUID as one of type P: what a column of type BIGINT
// or UUID holds, say. The type V need not be written: AsTyped[Order](id).
func AsTyped[P Prefix, V Value](raw V) TypedID[P, V] { return TypedID[P, V]{raw: raw} }

// maxTypedLen is the length of the longest text.
const maxTypedLen = MaxPrefixLen + 1 + uuidBase32Len

// Raw returns the ID, or the UUID, without its type.
func (id TypedID[P, V]) Raw() V { return id.raw }

// String returns the text. It cannot fail: of a negative ID, or with a prefix
// that breaks the rule, it returns a text that [ParseTyped] does not take.
func (id TypedID[P, V]) String() string {
	var buf [maxTypedLen]byte
	prefix, err := prefixOf[P]()
	if err != nil {
		prefix = quotePrefix(prefix)
	}
	return string(id.append(buf[:0], prefix))
}

// AppendText appends the text to b. It allocates only if b is too short. The
// error matches [ErrInvalidID] if the ID is negative.
func (id TypedID[P, V]) AppendText(b []byte) ([]byte, error) {
	prefix, err := prefixOf[P]()
	if err != nil {
		return b, err
	}
	if raw, ok := any(id.raw).(ID); ok {
		if err := raw.checked(); err != nil {
			return b, err
		}
	}
	return id.append(b, prefix), nil
}

func (id TypedID[P, V]) append(b []byte, prefix string) []byte {
	if prefix != "" {
		b = append(append(b, prefix...), '_')
	}
	switch raw := any(id.raw).(type) {
	case ID:
		b = raw.AppendBase32(b)
	case uuid.UUID:
		b = appendBase32(b, binary.BigEndian.Uint64(raw[:8]), binary.BigEndian.Uint64(raw[8:]), uuidBase32Len)
	}
	return b
}

// MarshalText returns the text. It fails as AppendText does.
func (id TypedID[P, V]) MarshalText() ([]byte, error) {
	return id.AppendText(make([]byte, 0, maxTypedLen))
}

// UnmarshalText reads the text, as [ParseTyped]. After an error the ID is
// unchanged.
func (id *TypedID[P, V]) UnmarshalText(text []byte) error { return setTyped(id, text) }

// MarshalJSON returns the text as a JSON string. It fails as AppendText does.
func (id TypedID[P, V]) MarshalJSON() ([]byte, error) {
	b, err := id.AppendText(append(make([]byte, 0, maxTypedLen+2), '"'))
	if err != nil {
		return nil, err
	}
	return append(b, '"'), nil
}

// UnmarshalJSON reads a JSON string that holds the text. As is the custom of
// [encoding/json], null changes nothing. The error is that of [ParseTyped], and
// the ID is then unchanged.
func (id *TypedID[P, V]) UnmarshalJSON(data []byte) error {
	s, null, err := stringInJSON(data, "")
	if null || err != nil {
		return err
	}
	return setTyped(id, s)
}

// Value returns the text, for a column of type VARCHAR. It fails as AppendText
// does. For columns of other types, store what Raw returns.
func (id TypedID[P, V]) Value() (driver.Value, error) {
	b, err := id.MarshalText()
	if err != nil {
		return nil, err
	}
	return string(b), nil
}

// Scan takes the text, as a string or bytes. It refuses NULL: scan into a
// sql.Null of this type where the column can be NULL. The error is that of
// [ParseTyped], and the ID is then unchanged.
func (id *TypedID[P, V]) Scan(src any) error {
	switch v := src.(type) {
	case string:
		return setTyped(id, v)
	case []byte:
		return setTyped(id, v)
	}
	return scanError(src, "idgen.TypedID[…]", "the text of a typed ID")
}

// ParseTyped reads the text of an ID of type P: exactly what String returns, in
// lower case, and with the prefix of P. The error is a [*ParseError], which
// matches [ErrInvalidID] and names both prefixes if the text has that of another
// type; or it matches [ErrOption] if the prefix of P breaks the rule. The ID is
// then the zero value.
func ParseTyped[P Prefix, V Value](s string) (id TypedID[P, V], err error) {
	err = setTyped(&id, s)
	return id, err
}

func setTyped[P Prefix, V Value, T text](id *TypedID[P, V], s T) error {
	prefix, err := prefixOf[P]()
	if err != nil {
		return err
	}
	start, f := skipPrefix(s, prefix)
	if f.found() {
		return newParseError("typed", s, f)
	}
	digits := idBase32Len
	if _, ok := any(id.raw).(uuid.UUID); ok {
		digits = uuidBase32Len
	}
	hi, lo, f := parseBase32(s[start:], digits)
	if f.found() {
		f.offset += start
		return newParseError("typed", s, otherPrefix(s, prefix, f))
	}
	switch raw := any(&id.raw).(type) {
	case *ID:
		*raw = ID(lo)
	case *uuid.UUID:
		binary.BigEndian.PutUint64(raw[:8], hi)
		binary.BigEndian.PutUint64(raw[8:], lo)
	}
	return nil
}

// skipPrefix returns where the base32 form begins.
func skipPrefix[T text](s T, prefix string) (int, fault) {
	if prefix == "" {
		return 0, fault{}
	}
	for i := range len(prefix) + 1 {
		want := byte('_')
		if i < len(prefix) {
			want = prefix[i]
		}
		if i == len(s) || s[i] != want {
			return 0, otherPrefix(s, prefix, fault{offset: i, reason: fmt.Sprintf("the prefix %q is missing", prefix)})
		}
	}
	return len(prefix) + 1, fault{}
}

// otherPrefix makes the fault one of the prefix, if the text has a valid one that
// is not the wanted one. The last underscore ends it.
func otherPrefix[T text](s T, want string, f fault) fault {
	if len(s) > maxTypedLen {
		return f
	}
	head := string(s)
	prefix := head[:max(0, strings.LastIndexByte(head, '_'))]
	if prefix == "" || prefix == want || !validPrefix(prefix) {
		return f
	}
	f.prefix, f.want = prefix, want
	f.reason = fmt.Sprintf("the prefix is %q, not %q", prefix, want)
	return f
}
