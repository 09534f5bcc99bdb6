package idgen

import (
	"bytes"
	"encoding/json"
)

var (
	_ json.Marshaler   = ID(0)
	_ json.Unmarshaler = (*ID)(nil)
)

// MarshalJSON returns the decimal form as a JSON string. A number it cannot be:
// JavaScript, and every other reader that keeps numbers in 64-bit floating point,
// loses the last digits above 2^53 (RFC 8259, section 6; RFC 7493, section 2.2),
// which IDs of a [Snowflake] reach in the epoch's first month. It fails with an
// error that matches [ErrInvalidID] if the ID is negative.
func (id ID) MarshalJSON() ([]byte, error) {
	b, err := id.AppendText(append(make([]byte, 0, maxDecimalLen+2), '"'))
	if err != nil {
		return nil, err
	}
	return append(b, '"'), nil
}

// UnmarshalJSON reads a JSON string that holds the decimal form. As is the custom
// of [encoding/json], null changes nothing. A number is refused, because it may
// have lost digits on its way: declare a field that really comes as a number as
// int64. The option ",string" of a field's tag is not needed, and does not work
// with it. The error is a [*ParseError], which matches [ErrInvalidID], and the ID
// is then unchanged.
func (id *ID) UnmarshalJSON(data []byte) error {
	s, null, err := stringInJSON(data, "; declare the field as int64 for numbers")
	if null || err != nil {
		return err
	}
	return setDecimal(id, s)
}

// stringInJSON returns what the JSON string data holds, or that data is null.
// The hint belongs to the error for numbers.
func stringInJSON(data []byte, hint string) (s []byte, null bool, _ error) {
	reason := "IDs are strings in JSON"
	switch {
	case len(data) >= 2 && data[0] == '"' && data[len(data)-1] == '"':
		// An ID needs no escapes, so in all but odd cases this is it.
		s = data[1 : len(data)-1]
		if !bytes.ContainsAny(s, `\"`) {
			return s, false, nil
		}
		var unescaped string
		if err := json.Unmarshal(data, &unescaped); err == nil {
			return []byte(unescaped), false, nil
		}
		reason = "not valid JSON"
	case string(data) == "null":
		return nil, true, nil
	case len(data) > 0 && (data[0] == '-' || '0' <= data[0] && data[0] <= '9'):
		reason += hint
	}
	return nil, false, newParseError("JSON", data, fault{reason: reason})
}
