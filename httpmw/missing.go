package httpmw

// MissingPolicy is what happens to a request that lacks a part of its key.
type MissingPolicy uint8

const (
	// Reject answers 400 with LOCK_KEY_MISSING: the default.
	Reject MissingPolicy = iota
	// Skip runs the handler without a lock, so that [core.FromContext] reports
	// none. Whoever sends the request chooses whether it is locked.
	Skip
)

// OnMissing chooses what happens when a part of the key is not in the request
// or is empty, or when a [KeyFunc] says so. A part that is there but cannot be
// used, such as a header that is repeated, is always refused.
func OnMissing(p MissingPolicy) Option {
	return option(func(o *options) {
		o.missing = p
		if p > Skip {
			o.bad("unknown MissingPolicy %d", p)
		}
	})
}
