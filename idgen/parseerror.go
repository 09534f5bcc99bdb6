package idgen

import (
	"fmt"
	"strings"
)

// ParseError tells why a text, or a value from a database, is no ID. It matches
// [ErrInvalidID].
type ParseError struct {
	// Form is what was expected: "decimal", "base32", "hex", "typed", "JSON" (an
	// ID in JSON that is not even a string) or "SQL" (a value of a column that is
	// not even a text).
	Form string
	// Text is what was refused, as it came, but never more than its first 64
	// bytes. It can hold anything: quote it, as Error does.
	Text string
	// Len is the length of the whole text in bytes.
	Len int
	// Offset is the byte at which the text stops being the beginning of an ID, and
	// Len if it only ends too early. It counts from 0.
	Offset int
	// Reason says what is wrong.
	Reason string
	// Prefix and WantPrefix are set if the text has the prefix of another type of
	// ID than was wanted (see [TypedID]). The prefix of the text is a valid one,
	// and therefore harmless.
	Prefix, WantPrefix string
}

var _ error = (*ParseError)(nil)

// maxErrorText bounds what an error repeats of a text, which may come from
// anyone and be of any size.
const maxErrorText = 64

// fault is what a parser finds; the zero value is none. It becomes an error in a
// function of its own, so that parsing itself allocates nothing.
type fault struct {
	offset int
	reason string
	prefix string // of another type
	want   string
}

func (f fault) found() bool { return f.reason != "" }

// text is what parsers read. [encoding.TextUnmarshaler] has bytes, which are not
// to be copied first.
type text interface{ string | []byte }

func newParseError[T text](form string, s T, f fault) error {
	// A copy: an error must not keep all of a large input alive.
	return &ParseError{
		Form:   form,
		Text:   strings.Clone(string(s[:min(len(s), maxErrorText)])),
		Len:    len(s),
		Offset: f.offset,
		Reason: f.reason,
		Prefix: f.prefix, WantPrefix: f.want,
	}
}

// Error names the form, the beginning of the text in quotes, the offset and the
// reason.
func (e *ParseError) Error() string {
	more := ""
	if e.Len > len(e.Text) {
		more = fmt.Sprintf("… (%d bytes)", e.Len)
	}
	return fmt.Sprintf("%v: %s %q%s, offset %d: %s", ErrInvalidID, e.Form, e.Text, more, e.Offset, e.Reason)
}

// Unwrap makes the error match [ErrInvalidID].
func (e *ParseError) Unwrap() error { return ErrInvalidID }

// ErrorType is the error's name in telemetry, that of [ErrInvalidID].
func (e *ParseError) ErrorType() string { return "invalid_id" }
