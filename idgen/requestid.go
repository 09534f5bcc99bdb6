package idgen

import (
	"context"
	"time"
)

// MaxRequestIDLen is the longest request ID that [ValidRequestID] accepts, in
// bytes.
const MaxRequestIDLen = 128

type requestIDKey struct{}

// NewContext returns a context that carries the request's ID. It stores what it
// is given: an ID from outside goes through [ValidRequestID] before.
func NewContext(ctx context.Context, id string) context.Context {
	return &requestContext{ctx, id}
}

// requestContext is a context.WithValue that needs one allocation, not two.
type requestContext struct {
	context.Context
	id string
}

func (c *requestContext) Value(key any) any {
	if _, ok := key.(requestIDKey); ok {
		return c
	}
	return c.Context.Value(key)
}

// FromContext returns the ID of the request that ctx belongs to, and false if
// there is none.
func FromContext(ctx context.Context) (string, bool) {
	c, ok := ctx.Value(requestIDKey{}).(*requestContext)
	if !ok {
		return "", false
	}
	return c.id, true
}

// NewRequestID returns a new request ID: the text of a version 7 UUID. It needs
// no generator and keeps no state, so that IDs sort by time, but two that are
// made within 4 ns of each other may sort either way. It is safe for concurrent
// use and allocates the string only.
func NewRequestID() string {
	e := stocks.Get().(*entropy)
	id := v7(tick(time.Now().UnixNano()), e.uint64())
	stocks.Put(e)
	return id.String()
}

// ValidRequestID reports whether an ID from outside is fit to be used as it is:
// 1 to [MaxRequestIDLen] of the characters A-Z a-z 0-9 . _ ~ - (the unreserved
// ones of RFC 3986, section 2.3). Such an ID can stand in a header, a URL, a log
// line and a Redis value without being escaped. That it is fit does not make it
// true: take IDs from trusted callers only.
func ValidRequestID(s string) bool {
	if len(s) == 0 || len(s) > MaxRequestIDLen {
		return false
	}
	for i := range len(s) {
		if !unreserved(s[i]) {
			return false
		}
	}
	return true
}

func unreserved(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9', 'A' <= c && c <= 'Z':
		return true
	case c == '-', c == '.', c == '_', c == '~':
		return true
	}
	return false
}
