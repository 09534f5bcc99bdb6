package grpcmw

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/latchkey-go/latchkey/core"
)

// LockKeyer is a request message that knows what it is to be locked on. Add the
// method beside the generated code:
//
//	func (r *UpdateRequest) LockKey() string { return keys.Join("order", r.GetOrderId()) }
type LockKeyer interface {
	// LockKey returns the key, which is used as it is; "" if it is missing. It must
	// not change the message.
	LockKey() string
}

// MessageKey makes the key by the request's own method LockKey. A request without
// that method has no key: see [OnMissing]; [Middleware.Verify] reports its
// method, unless [OnMissing] lets such calls run. Otherwise it is as [KeyOf] is.
func MessageKey() Key { return messageKey{} }

type messageKey struct{}

func (messageKey) compile(*options) (compiledKey, error) {
	k := functionKey("method LockKey of the request", func(_ context.Context, req any) (string, error) {
		m, ok := req.(LockKeyer)
		if !ok {
			return "", &keyFault{part: requestPart, text: "has no method LockKey", err: core.ErrKeyMissing}
		}
		return m.LockKey(), nil
	})
	k.fits = func(input protoreflect.MessageDescriptor, lenient bool) []error {
		m := messageLike(input)
		if _, ok := m.(LockKeyer); ok || m == nil || lenient {
			return nil
		}
		return []error{fmt.Errorf("has requests of type %T, without a method LockKey", m)}
	}
	return k, nil
}
