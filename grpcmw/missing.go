package grpcmw

import "context"

// MissingPolicy is what happens to a call in which a part of the key is missing or
// empty: [Reject], [Skip], [Fallback] or [FallbackFunc]. A field of a proto3
// message that is not set cannot be told from an empty one.
type MissingPolicy interface{ onMissing(*terms) }

type missingPolicy uint8

const (
	// Reject denies it with INVALID_ARGUMENT: the default.
	Reject missingPolicy = iota
	// Skip runs it without a lock: two such calls may overlap.
	Skip
)

var _ MissingPolicy = Reject

func (p missingPolicy) onMissing(t *terms) { t.skipMissing, t.fallback = p == Skip, nil }

// Fallback takes text in place of each part that is missing, or of the key if a
// function returns none. All calls that lack the part then share it, with each
// other and with a call that has text there. It must not be empty. It is not put into
// a placeholder's form: Fallback("none") is right for {field.id|int}.
func Fallback(text string) MissingPolicy {
	return fallback{func(context.Context) string { return text }, text == ""}
}

// FallbackFunc is [Fallback] with a text of the call's own, such as the client's
// name. If it is empty, too, the call is denied as by [Reject]. fn gets the call's
// context, and is called from many goroutines at once.
func FallbackFunc(fn func(context.Context) string) MissingPolicy { return fallback{fn, fn == nil} }

type fallback struct {
	text func(context.Context) string
	bad  bool
}

func (f fallback) onMissing(t *terms) {
	t.skipMissing = false
	if t.fallback = f.text; f.bad {
		t.bad("Fallback is empty, or the function of FallbackFunc nil")
	}
}

// OnMissing chooses what happens when a part of the key is missing or empty.
// Whoever makes a call chooses by that whether Skip locks it. A part that is
// there but cannot be used, such as repeated metadata, is always refused.
func OnMissing(p MissingPolicy) Setting {
	return Setting{func(t *terms) {
		if p == nil {
			t.bad("the MissingPolicy is nil")
			return
		}
		p.onMissing(t)
	}}
}
