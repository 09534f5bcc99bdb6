package grpcmw

import (
	"errors"
	"fmt"

	"google.golang.org/grpc"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/internal/lines"
)

// Middleware locks the calls of one gRPC server. It is immutable and safe for
// concurrent use; it may serve several servers.
type Middleware struct {
	identifier
	methods   map[string]*method // named by For or by an option
	rest      *rest              // nil without ForAll
	selection selection
	declared  bool
	lines     *lines.Lines
}

// New returns a Middleware that takes its locks from locker. The methods that
// [For], [FromProtoOptions] or [ForAll] name are locked, and their calls get a
// request ID; all others are left alone.
//
// Its error matches [core.ErrOption] and lists everything that is wrong with
// the options: malformed methods and templates, settings out of range, a method
// named twice. What only the server can tell, [Middleware.Verify] does.
func New(locker core.Locker, opts ...Option) (*Middleware, error) {
	o := options{lines: lines.New(DefaultMaxWaitingPerConn)}
	for _, opt := range opts {
		if opt != nil {
			opt.applyMiddleware(&o)
		}
	}
	m := &Middleware{
		methods: make(map[string]*method, len(o.methods)), selection: selection{o.only, o.except},
		declared: o.declared, identifier: o.identifier, lines: o.lines,
	}
	m.selection.check(&o)

	errs := o.errs
	if _, err := core.NewGuard(locker); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, o.terms(nil).validate()...)
	for _, f := range o.methods {
		compiled, faults := f.compile(locker, &o)
		errs = append(errs, faults...)
		if _, twice := m.methods[f.fullMethod]; twice {
			errs = append(errs, faultf(f.fullMethod, "is named twice"))
		}
		m.methods[f.fullMethod] = compiled
	}
	if o.rest != nil {
		compiled, faults := o.rest.compile(locker, &o)
		errs = append(errs, faults...)
		m.rest = &rest{*compiled, m.selection}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if o.declared {
		m.declare(locker, &o)
	}
	return m, nil
}

// declare adds the methods that declare their locks.
func (m *Middleware) declare(locker core.Locker, o *options) {
	for name, lock := range declaredLocks() {
		if _, named := m.methods[name]; named || !m.selection.takes(name, true) {
			continue
		}
		compiled, faults := declaredMethod(name, lock).compile(locker, o)
		compiled.declared, compiled.faults = true, faults
		m.methods[name] = compiled
	}
}

// find returns the method of that name, nil if it is left alone. One that is not
// registered with the server has been invented by the client.
func (m *Middleware) find(fullMethod string, registered bool) *method {
	if named := m.methods[fullMethod]; named != nil {
		return named
	}
	return m.rest.of(fullMethod, registered)
}

// ServerOptions returns the options for [grpc.NewServer] that install the unary
// and the stream interceptor together, so that neither is forgotten. They are
// chained, in the order in which options are given: recovery and telemetry go
// before them, authentication as well, a database transaction after them.
//
// Only calls that come to the server are locked. A function that calls the service
// itself passes by all interceptors: so does what grpc-gateway generates as
// RegisterXHandlerServer, and Verify cannot know. Register a gateway with a connection
// to the server (RegisterXHandlerFromEndpoint, RegisterXHandlerClient; see the example),
// or call [Middleware.Unary] by hand.
//
// Without a Middleware, as after an error of [New], it panics at once.
func (m *Middleware) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(m.Unary()),
		grpc.ChainStreamInterceptor(m.Stream()),
	}
}

// mustBe panics at the wiring, not at a call.
func (m *Middleware) mustBe() {
	if m == nil {
		panic("grpcmw: nil *Middleware: New has returned an error")
	}
}

// faultf says what is wrong with the options for a method.
func faultf(fullMethod, format string, args ...any) error {
	return fmt.Errorf("%w: grpcmw: method %q "+format, append([]any{core.ErrOption, fullMethod}, args...)...)
}
