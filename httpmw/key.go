package httpmw

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/keys"
)

// KeySource says what a request's lock key is made of: [Key] or [KeyFunc].
type KeySource interface {
	// compile returns the key's maker, or an error that matches
	// core.ErrOption and lists everything that is wrong.
	compile() (keyMaker, error)
}

// keyMaker makes the keys of one middleware.
type keyMaker interface {
	// key returns the key of r. An error matches core.ErrKeyMissing if a part
	// is not there; any other says that a part cannot be used.
	key(r *http.Request, t keyTerms) (string, error)
	// readsBody tells whether a key needs the body.
	readsBody() bool
	// String is the key's description for people: no data of a request.
	String() string
}

// keyTerms are what a request's key is made with, beside the request.
type keyTerms struct {
	// scope is the route's name or pattern. A scope without text alone may also
	// be a router that sets no pattern.
	scope    string
	unscoped bool
	// fallback is the text for a part that is missing, or nil.
	fallback func(*http.Request) string
	// body is not nil if a key readsBody.
	body *bodyHead
}

func (t keyTerms) scoped() string {
	if t.unscoped {
		return ""
	}
	return t.scope
}

// KeyFunc takes the key from a function, which is called once for each request,
// before it gets in line, by many requests at once. It must not read the body.
//
// An error that matches [core.ErrKeyMissing], or an empty key without an error,
// is a key that is missing: see [OnMissing]. Any other error is answered with
// 400 and LOCK_KEY_INVALID; its text goes into the denial's Cause and never to
// the client.
//
// The route is put before the key, and over 200 bytes the tail is hashed, unless
// [Unscoped] is given. A key of several parts should be made with keys.Join,
// which keeps different lists of parts apart. Under a route or a [Name] the key
// is one part, so that it cannot imitate others: keys.Join("order", "42") is then
// not the key that the template order:{path.id} makes of 42. With Unscoped it is.
func KeyFunc(fn func(*http.Request) (string, error)) KeySource { return funcSource(fn) }

type funcSource func(*http.Request) (string, error)

var _ KeySource = funcSource(nil)

func (fn funcSource) compile() (keyMaker, error) {
	if fn == nil {
		return nil, fmt.Errorf("%w: httpmw: KeyFunc's function is nil", core.ErrOption)
	}
	// What the function returns may be anything a client has sent: as a value
	// of a template it cannot imitate a scope.
	scoped, err := keys.Parse("{func.key}")
	if err != nil {
		return nil, err
	}
	return &funcKey{fn: fn, scoped: scoped}, nil
}

type funcKey struct {
	fn     funcSource
	scoped *keys.Template
}

var _ keyMaker = (*funcKey)(nil)

func (k *funcKey) key(r *http.Request, t keyTerms) (string, error) {
	key, err := k.fn(r)
	if err == nil && key == "" {
		err = fmt.Errorf("%w: KeyFunc returned no key", core.ErrKeyMissing)
	}
	if t.fallback != nil && errors.Is(err, core.ErrKeyMissing) {
		if key = t.fallback(r); key != "" {
			err = nil
		}
	}
	switch {
	case err != nil:
		return "", err
	case t.unscoped:
		return key, nil
	}
	return k.scoped.Key(t.scope, key), nil
}

func (k *funcKey) readsBody() bool { return false }

func (k *funcKey) String() string { return "KeyFunc" }
