package httpmw

import "net/http"

// MissingPolicy is what happens to a request that lacks a part of its key:
// [Reject], [Skip], [Fallback] or [FallbackFunc].
type MissingPolicy interface{ onMissing(*options) }

type missingPolicy uint8

const (
	// Reject answers 400 with LOCK_KEY_MISSING: the default.
	Reject missingPolicy = iota
	// Skip runs the handler without a lock, so that [core.FromContext] reports
	// none. Whoever sends the request chooses whether it is locked.
	Skip
)

var _ MissingPolicy = Reject

func (p missingPolicy) onMissing(o *options) {
	o.skipMissing = p == Skip
	o.fallback = nil
}

// Fallback takes text in place of each part that is missing, or of the key if a
// [KeyFunc] returns none. All requests that lack the part then share it, with
// each other and with a request that has text there. It must not be empty. It is not
// put into a placeholder's form: Fallback("none") is right for {path.id|int}, whose
// values are never equal to it.
func Fallback(text string) MissingPolicy {
	return fallback{func(*http.Request) string { return text }, text == ""}
}

// FallbackFunc is [Fallback] with a text of the request's own, such as the
// client's address. If it is empty, too, the request is answered as by [Reject].
// fn must not read the body, and is called by many requests at once.
func FallbackFunc(fn func(*http.Request) string) MissingPolicy { return fallback{fn, fn == nil} }

type fallback struct {
	text func(*http.Request) string
	bad  bool
}

func (f fallback) onMissing(o *options) {
	o.skipMissing = false
	if o.fallback = f.text; f.bad {
		o.bad("Fallback is empty, or the function of FallbackFunc nil")
	}
}

// OnMissing chooses what happens when a part of the key is not in the request
// or is empty, or when a [KeyFunc] says so. It does not apply to a path value that
// the route's pattern does not have: see the package's documentation. A part that is
// there but cannot be
// used, such as a header that is repeated or a body that is too long, is always
// refused.
func OnMissing(p MissingPolicy) Option {
	return option(func(o *options) {
		if p == nil {
			o.bad("the MissingPolicy is nil")
			return
		}
		p.onMissing(o)
	})
}
