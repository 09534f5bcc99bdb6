package keys

import "fmt"

// SyntaxError says what is wrong with a key template, and where.
type SyntaxError struct {
	// Template is the text that was to be parsed.
	Template string
	// Offset is the byte in it at which the fault is, or begins.
	Offset int
	// Reason says what is wrong.
	Reason string
}

var _ error = (*SyntaxError)(nil)

func syntaxError(text string, offset int, reason string) error {
	return &SyntaxError{Template: text, Offset: offset, Reason: reason}
}

// Error names the template, the offset and the reason.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("keys: template %q, offset %d: %s", e.Template, e.Offset, e.Reason)
}

// ErrorType is the error's name in telemetry.
func (e *SyntaxError) ErrorType() string { return "key_template" }
