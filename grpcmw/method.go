package grpcmw

import (
	"cmp"
	"strings"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/internal/onceper"
)

// For locks the calls of one method, named as in generated code
// (pb.Orders_Update_FullMethodName, "/orders.v1.Orders/Update"), on key. Two methods
// with the same key lock each other out, unless [Scoped] sets them apart.
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

// Name names what is locked in telemetry, in place of the full method. It must be of
// low cardinality and not be empty. It is a part of the key only with [Scoped].
func Name(name string) MethodOption {
	return methodOption(func(t *terms) {
		if t.name = name; name == "" {
			t.bad("Name is empty")
		}
	})
}

// Scoped puts the [Name], or without one the full method, before the key:
// /orders.v1.Orders/Update%:order:42 (see [keys.Scoped]). Calls of other methods, HTTP
// routes and jobs for the same order then run beside this one, so it is for methods
// that must not wait for each other. Whoever inspects or breaks the lock has to name
// the whole key.
func Scoped() Setting { return Setting{func(t *terms) { t.scoped = true }} }

// method is one locked method: what New has made of a For.
type method struct {
	key   compiledKey
	scope string // stands before the key; "" is none
	guard *core.Guard
	terms *terms
	// origins is shared by all methods of a ForAll.
	origins *origins
	// named is the name in telemetry, where the guard has none.
	named core.Setting
	// declared: by an option in the .proto file.
	declared bool
	// faults is what is wrong with it, as far as New is not to tell.
	faults []error

	fullMethod string
	told       *onceper.Set // the methods whose faults have been logged
}

// compile returns the method and everything that is wrong with it. Settings of
// the middleware are judged elsewhere, once.
func (f forMethod) compile(locker core.Locker, o *options) (m *method, errs []error) {
	if f.fullMethod != allMethods && !wellFormed(f.fullMethod) {
		errs = append(errs, faultf(f.fullMethod, "is not of the form /package.Service/Method"))
	}
	m = &method{terms: o.terms(f.opts), fullMethod: f.fullMethod, told: new(onceper.Set), origins: new(origins)}
	name := cmp.Or(m.terms.name, f.fullMethod)
	if m.terms.scoped {
		m.scope = name
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
	guard := append(m.terms.guard, core.Name(name))
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
	if _, err := core.NewGuard(anyLocker{}, t.guard...); err != nil {
		errs = append(errs, flatten(err)...)
	}
	return errs
}
