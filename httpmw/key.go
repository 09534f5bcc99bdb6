package httpmw

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/latchkey-go/latchkey/core"
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
	// is not there, and is a *wiringFault if no request of r's route has it; any
	// other says that a part cannot be used.
	key(r *http.Request, t keyTerms) (string, error)
	// readsBody tells whether a key needs the body.
	readsBody() bool
	// String is the key's description for people: no data of a request.
	String() string
}

// keyTerms are what a request's key is made with, beside the request.
type keyTerms struct {
	// fallback is the text for a part that is missing, or nil.
	fallback func(*http.Request) string
	// body is not nil if a key readsBody.
	body *bodyHead
	// aroundMux: the handler under the lock is a mux.
	aroundMux bool
}

// KeyFunc takes the key from a function, which is called once for each request,
// before it gets in line, by many requests at once. It must not read the body.
//
// What it returns is the key, as it is and with nothing added, so it begins with
// the name of what is locked and is best made with keys.Join:
//
//	return keys.Join("order", r.PathValue("id")), nil
//
// That is the key of the template order:{path.id}; long ones are shortened by a
// hash. Pasted together by hand ("order:"+tenant+":"+id), a key lets a client that
// chooses a part of it choose somebody else's.
//
// An error that matches [core.ErrKeyMissing], or an empty key without an error,
// is a key that is missing: see [OnMissing]. So should be one with a part that is not
// there: keys.Join("order", "") is the one key of all requests without an order. Any other error, and a key of more
// than [core.MaxKeyLen] bytes, is answered with 400 and LOCK_KEY_INVALID; its text
// goes into the denial's Cause and never to the client.
func KeyFunc(fn func(*http.Request) (string, error)) KeySource { return funcSource(fn) }

type funcSource func(*http.Request) (string, error)

var _ KeySource = funcSource(nil)

func (fn funcSource) compile() (keyMaker, error) {
	if fn == nil {
		return nil, fmt.Errorf("%w: httpmw: KeyFunc's function is nil", core.ErrOption)
	}
	return &funcKey{fn}, nil
}

type funcKey struct{ fn funcSource }

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
	case len(key) > core.MaxKeyLen: // under a scope it would be shortened
		return "", fmt.Errorf("%w: KeyFunc returned %d bytes, more than %d: make it with keys.Join", core.ErrKey, len(key), core.MaxKeyLen)
	}
	return key, nil
}

func (k *funcKey) readsBody() bool { return false }

func (k *funcKey) String() string { return "KeyFunc" }
