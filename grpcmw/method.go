package grpcmw

import (
	"fmt"
	"strings"

	"github.com/latchkey-go/latchkey/core"
)

// For locks the calls of one method, named as in generated code
// (pb.Orders_Update_FullMethodName, "/orders.v1.Orders/Update"), on key. The
// full method is a part of the key, so that two methods never share a lock unless
// [Name] or [Unscoped] says so.
func For(fullMethod string, key Key, opts ...MethodOption) Option {
	return option(func(o *options) {
		o.methods = append(o.methods, forMethod{fullMethod, key, opts})
	})
}

// forMethod is what For was given.
type forMethod struct {
	fullMethod string
	key        Key
	opts       []MethodOption
}

type methodOption func(*terms)

func (o methodOption) applyMethod(t *terms) { o(t) }

// Name names what is locked, in telemetry and in the key, in place of the full
// method: methods with one name and one key lock each other out. It must be of
// low cardinality and not be empty.
func Name(name string) MethodOption {
	return methodOption(func(t *terms) {
		if t.name = name; name == "" {
			t.bad("Name is empty")
		}
	})
}

// Unscoped leaves the full method out of the key, so that it is the same as that
// of another method, an HTTP route or a cron job: order:{metadata.x-order} here
// and order:{path.id} there lock each other out. What the function of [KeyOf] or
// [KeyFunc] returns is then the key as it is: make it with [keys.Join], or a
// client that chooses a part of it may be able to choose somebody else's key.
func Unscoped() MethodOption { return methodOption(func(t *terms) { t.unscoped = true }) }

// method is one locked method: what New has made of a For.
type method struct {
	key   compiledKey
	scope string
	guard *core.Guard
	terms *terms
	// ongoing is shared by all methods of a ForAll.
	ongoing *ongoing
	// named is the name in telemetry, where the guard has none.
	named core.Setting
	// declared: by an option in the .proto file.
	declared bool
	// faults is what is wrong with it, as far as New is not to tell.
	faults []error
}

// compile returns the method and everything that is wrong with it. Settings of
// the middleware are judged elsewhere, once.
func (f forMethod) compile(locker core.Locker, o *options) (m *method, errs []error) {
	if f.fullMethod != allMethods && !wellFormed(f.fullMethod) {
		errs = append(errs, faultf(f.fullMethod, "is not of the form /package.Service/Method"))
	}
	m = &method{scope: f.fullMethod, terms: o.terms(f.opts), ongoing: &ongoing{}}
	if m.terms.name != "" {
		m.scope = m.terms.name
	}
	name := core.Name(m.scope)
	if m.terms.unscoped {
		m.scope = ""
	}
	if f.key == nil {
		errs = append(errs, faultf(f.fullMethod, "has no key"))
	} else if key, err := f.key.compile(o); err != nil {
		for _, err := range flatten(err) {
			errs = append(errs, faultf(f.fullMethod, "has a bad key: %w", err))
		}
	} else {
		m.key = key
	}
	for _, err := range new(options).terms(f.opts).validate() {
		errs = append(errs, faultf(f.fullMethod, "has bad options: %w", err))
	}
	// Its error, if there is one, has been told: by the method's own options or
	// by what New says of the Locker and the middleware's.
	guard := append(m.terms.guard, name)
	if m.terms.shadow {
		guard = append(guard, core.Shadow(m.terms.tellShadow))
	}
	m.guard, _ = core.NewGuard(locker, guard...)
	return m, errs
}

// flatten returns the errors that errors.Join has joined.
func flatten(err error) (errs []error) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	for _, err := range joined.Unwrap() {
		errs = append(errs, flatten(err)...)
	}
	return errs
}

// wellFormed tells whether name is /service/method.
func wellFormed(name string) bool {
	service, method, ok := splitMethod(name)
	return ok && service != "" && method != "" && !strings.ContainsAny(service+method, "/ \t\r\n")
}

// splitMethod takes /service/method apart, at the last slash as grpc-go does.
func splitMethod(name string) (service, method string, ok bool) {
	rest, ok := strings.CutPrefix(name, "/")
	i := strings.LastIndexByte(rest, '/')
	if !ok || i < 0 {
		return "", "", false
	}
	return rest[:i], rest[i+1:], true
}

// anyLocker stands for the middleware's, which is judged elsewhere.
type anyLocker struct{ core.Locker }

// validate lists everything that is wrong with the terms.
func (t *terms) validate() []error {
	errs := t.errs
	if t.unscoped && t.name != "" {
		errs = append(errs, fmt.Errorf("%w: grpcmw: Unscoped leaves the name out of the key: give one of both", core.ErrOption))
	}
	if _, err := core.NewGuard(anyLocker{}, t.guard...); err != nil {
		errs = append(errs, flatten(err)...)
	}
	return errs
}
