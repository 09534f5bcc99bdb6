package grpcmw

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/latchkey-go/latchkey/core"
)

// Key says what the calls of a method are locked on: [KeyTemplate], or a function:
// [KeyOf], [KeyFunc] and [MessageKey].
//
// The key is what the template or the function says and nothing else, so that a
// gRPC method with order:{field.order_id}, an HTTP route with order:{path.id} and a
// job that locks keys.Join("order", id) exclude each other. [Scoped] puts the full
// method before it.
//
// Whatever the parts of a template hold, calls with different parts never share a
// lock, and over 200 bytes the tail is hashed: see package [keys]. A function should
// make its key with [keys.Join], which gives the same: pasted together by hand, a key
// lets a client that chooses a part of it choose somebody else's. A function's key of
// more than [core.MaxKeyLen] bytes is refused with [core.ReasonKeyInvalid].
type Key interface {
	compile(*options) (compiledKey, error)
}

// compiledKey is a Key that New has found to be in order.
type compiledKey struct {
	// of returns the key, with fallback's text, unless it is nil, for what is missing.
	of func(ctx context.Context, req any, fallback func(context.Context) string) (string, error)
	// onMessage is true if of needs the request message.
	onMessage bool
	// fits lists why requests of a type have no such key, whatever is in them; nil
	// if that depends on nothing. If lenient, a call may do without it.
	fits func(input protoreflect.MessageDescriptor, lenient bool) []error
	// text names the key to people. It is configuration, never a call's data.
	text string
}

// keyFault is a key that a call does not give. It unwraps to core.ErrKeyMissing
// or core.ErrKey, and to its cause.
type keyFault struct {
	// part is the placeholder's source and name, "request" for a function.
	part string
	// text is for the client.
	text  string
	err   error
	cause error
}

func (f *keyFault) Error() string {
	if f.cause == nil {
		return fmt.Sprintf("%v: %s %s", f.err, f.part, f.text)
	}
	return fmt.Sprintf("%v: %s %s: %v", f.err, f.part, f.text, f.cause)
}

func (f *keyFault) Unwrap() []error {
	if f.cause == nil {
		return []error{f.err}
	}
	return []error{f.err, f.cause}
}

// requestPart is what a key function's part is called in answers.
const requestPart = "request"

func missing(part string) error {
	return &keyFault{part: part, text: "is missing or empty", err: core.ErrKeyMissing}
}

// KeyOf makes the key from the request message:
//
//	grpcmw.KeyOf(func(r *pb.UpdateRequest) string { return keys.Join("order", r.GetOrderId()) })
//
// The result is the key, as it is. An empty one means that the key is missing, and
// where a part of it may be missing fn should say so: keys.Join("order", "") is the
// one key of all calls without an order. T must be the method's request type, or an
// interface that it implements: [Middleware.Verify] reports a method with another
// one, and its calls fail with INTERNAL. fn is called from many goroutines at once; it
// must not keep or change the message.
//
// A server stream is locked when its request has arrived; client and bidi
// streams have no request at their beginning and cannot have such a key.
func KeyOf[T any](fn func(request T) string) Key { return keyOf[T](fn) }

type keyOf[T any] func(T) string

func (fn keyOf[T]) compile(*options) (compiledKey, error) {
	if fn == nil {
		return compiledKey{}, errors.New("the function is nil")
	}
	k := functionKey(fmt.Sprintf("function of %v", reflect.TypeFor[T]()), func(_ context.Context, req any) (string, error) {
		r, ok := req.(T)
		if !ok {
			return "", fmt.Errorf("grpcmw: the key is a function of %v, and the request is a %T", reflect.TypeFor[T](), req)
		}
		return fn(r), nil
	})
	k.fits = func(input protoreflect.MessageDescriptor, _ bool) []error {
		if mayBe(reflect.TypeFor[T](), input) {
			return nil
		}
		return []error{fmt.Errorf("has requests of type %s, and its key is a %s", input.FullName(), k.text)}
	}
	return k, nil
}

// mayBe tells whether requests that are such messages may be of type t, as far as
// that is known.
func mayBe(t reflect.Type, input protoreflect.MessageDescriptor) bool {
	if t.Kind() == reflect.Pointer {
		message := messageOf(t)
		return message == "" || message == input.FullName()
	}
	m := messageLike(input)
	return m == nil || reflect.TypeOf(m).AssignableTo(t)
}

// messageLike returns a message of the Go type that the program has for such
// messages, nil if it has none.
func messageLike(input protoreflect.MessageDescriptor) proto.Message {
	t, err := protoregistry.GlobalTypes.FindMessageByName(input.FullName())
	if err != nil {
		return nil
	}
	return t.Zero().Interface()
}

// messageOf returns the name of the protobuf message that t points to, "" if it
// does not, or to one whose type is known at run time only.
func messageOf(t reflect.Type) protoreflect.FullName {
	if t.Kind() != reflect.Pointer {
		return ""
	}
	m, ok := reflect.New(t.Elem()).Interface().(proto.Message)
	if !ok {
		return ""
	}
	d := m.ProtoReflect().Descriptor()
	if d == nil { // dynamicpb
		return ""
	}
	return d.FullName()
}

// KeyFunc makes the key from the context, which holds the metadata and what
// authentication has put there, and the request message.
//
// An empty result, or an error that matches [core.ErrKeyMissing], means that
// the key is missing: see [OnMissing]. After any other error the call is denied
// with [core.ReasonKeyInvalid]; the error goes to [OnDeny] as a part of the
// cause, never to the client. If ctx has ended by then, that is the reason.
//
// Otherwise it is as [KeyOf] is: it may be called from many goroutines at once,
// and is not for client and bidi streams.
func KeyFunc(fn func(ctx context.Context, request any) (string, error)) Key { return keyFunc(fn) }

type keyFunc func(context.Context, any) (string, error)

func (fn keyFunc) compile(*options) (compiledKey, error) {
	if fn == nil {
		return compiledKey{}, errors.New("the function is nil")
	}
	return functionKey("function", func(ctx context.Context, req any) (string, error) {
		s, err := fn(ctx, req)
		switch {
		case err == nil:
			return s, nil
		case ctx.Err() != nil:
			return "", ctx.Err()
		case errors.Is(err, core.ErrKeyMissing):
			return "", &keyFault{part: requestPart, text: "is missing a part", err: core.ErrKeyMissing, cause: err}
		default:
			return "", &keyFault{part: requestPart, text: "has no valid lock key", err: core.ErrKey, cause: err}
		}
	}), nil
}

// functionKey returns the key that is fn's result.
func functionKey(text string, fn func(context.Context, any) (string, error)) compiledKey {
	return compiledKey{
		onMessage: true, text: text,
		of: func(ctx context.Context, req any, fallback func(context.Context) string) (string, error) {
			key, err := fn(ctx, req)
			if err == nil && key == "" {
				err = missing(requestPart)
			}
			if fallback != nil && errors.Is(err, core.ErrKeyMissing) {
				if key = fallback(ctx); key != "" {
					err = nil
				}
			}
			if err == nil && len(key) > core.MaxKeyLen { // under a scope it would be shortened
				err = &keyFault{part: requestPart, text: "has no valid lock key", err: core.ErrKey,
					cause: fmt.Errorf("%d bytes, more than %d: make it with keys.Join", len(key), core.MaxKeyLen)}
			}
			if err != nil {
				return "", err
			}
			return key, nil
		},
	}
}
