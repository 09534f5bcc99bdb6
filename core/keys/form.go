package keys

import (
	"strconv"
	"strings"
)

// Form is what a placeholder makes of its value: {path.id|int}. Texts that mean
// the same to a handler, such as 42 and 042, are different keys without one.
type Form string

const (
	// Int is a decimal number, as [strconv.Atoi] takes it on a machine of 64 bits:
	// an optional sign and digits, from -2^63 to 2^63-1. 042 and +42 are 42, and
	// -0 is 0.
	Int Form = "int"
	// UUID is a UUID as google/uuid's Parse takes it: 32 hexadecimal digits in any
	// case, with the four hyphens or without any, also in braces or after
	// "urn:uuid:". It becomes xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx in lower case.
	UUID Form = "uuid"
	// Lower puts the letters A to Z into lower case, and changes nothing else: É
	// and é stay two keys. What the case of other letters is depends on the version
	// of Unicode, and so on Go's, and on the language; replicas must agree on a key.
	Lower Form = "lower"
)

// formList names the forms to people.
const formList = "int, uuid and lower"

func (f Form) known() bool { return f == Int || f == UUID || f == Lower }

// FormError says that a value does not have the form that its placeholder asks for.
// The value is not in it.
type FormError struct{ Form Form }

var _ error = (*FormError)(nil)

// Error says what the value should have been.
func (e *FormError) Error() string {
	switch e.Form {
	case Int:
		return "keys: not a decimal number of 64 bits"
	case UUID:
		return "keys: not a UUID"
	}
	return "keys: unknown form " + strconv.Quote(string(e.Form))
}

// ErrorType is the error's name in telemetry.
func (e *FormError) ErrorType() string { return "key_form" }

// Canonical returns the one text for all values that mean the same as this one: it
// changes nothing in a text that is canonical already. The zero Form changes
// nothing at all.
//
// The error is a [*FormError] for a value that does not have the form: it is to be
// refused, since there is no telling what else it may mean to somebody.
func (f Form) Canonical(value string) (string, error) {
	switch f {
	case "":
		return value, nil
	case Int:
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return "", &FormError{f}
		}
		return strconv.FormatInt(n, 10), nil
	case UUID:
		if id, ok := canonicalUUID(value); ok {
			return id, nil
		}
		return "", &FormError{f}
	case Lower:
		return lower(value), nil
	}
	return "", &FormError{f}
}

// lower returns s with its ASCII letters in lower case.
func lower(s string) string {
	isUpper := func(c rune) bool { return c >= 'A' && c <= 'Z' }
	if !strings.ContainsFunc(s, isUpper) {
		return s
	}
	b := []byte(s)
	for i, c := range b {
		if isUpper(rune(c)) {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

func canonicalUUID(s string) (id string, ok bool) {
	const hyphened, urn = len("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"), "urn:uuid:"
	isHyphen := func(i int) bool { return i == 8 || i == 13 || i == 18 || i == 23 }
	switch s = lower(s); len(s) {
	case len(urn) + hyphened:
		if s, ok = strings.CutPrefix(s, urn); !ok {
			return "", false
		}
	case hyphened + 2:
		if s[0] != '{' || s[hyphened+1] != '}' {
			return "", false
		}
		s = s[1 : 1+hyphened]
	case hyphened - 4:
		s = s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
	case hyphened:
	default:
		return "", false
	}
	for i, c := range []byte(s) {
		if isHyphen(i) != (c == '-') || c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", false
		}
	}
	return s, true
}
