package keys

// MaxLen is the longest key, in bytes. Longer ones are shortened by a hash.
const MaxLen = 200

// separator stands between parts. In a part it is always escaped.
const separator = ':'

// emptyText is the key of parts that come to nothing: without it the list of
// one empty part would be the same as the list of none.
const emptyText = "%-"

// Join returns the lock key for a list of parts: "order", "acme", "42" is
// order:acme:42. Two different lists never give the same key, whatever their
// lengths, and whether or not parts are empty or hold colons (beyond [MaxLen]
// bytes: unless SHA-256 collides). The order of the parts matters.
//
// The key is the one that a [Template] of the same text gives, so that a Go function
// and a template can name the same lock.
//
// An empty part is a part: Join("order", "") is the one lock of all messages without an
// order. Where that may be missing, return no key instead.
//
// Without any part the key is empty, which no Locker accepts. Join is safe for
// concurrent use and allocates once for a key that is not hashed.
func Join(parts ...string) string {
	if len(parts) == 0 {
		return ""
	}
	var stack [bufferSize]byte
	b := stack[:0]
	for i, p := range parts {
		if i > 0 {
			b = append(b, separator)
		}
		b = appendEscaped(b, p, separator)
	}
	return finish(b)
}
