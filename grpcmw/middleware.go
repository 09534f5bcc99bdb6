package grpcmw

import (
	"errors"
	"fmt"

	"google.golang.org/grpc"

	"github.com/latchkey-go/latchkey/core"
)

// Middleware locks the calls of one gRPC server. It is immutable and safe for
// concurrent use; it may serve several servers.
type Middleware struct {
	methods        map[string]*method
	trustRequestID bool
}

// New returns a Middleware that takes its locks from locker. Only methods named
// by [For] are locked; every call gets a request ID.
//
// Its error matches [core.ErrOption] and lists everything that is wrong with
// the options: malformed methods and templates, settings out of range, a method
// named twice. What only the server can tell, [Middleware.Verify] does.
func New(locker core.Locker, opts ...Option) (*Middleware, error) {
	var o options
	for _, opt := range opts {
		if opt != nil {
			opt.applyMiddleware(&o)
		}
	}

	var errs []error
	if _, err := core.NewGuard(locker); err != nil {
		errs = append(errs, err)
	}
	if err := o.terms(nil).validate(); err != nil {
		errs = append(errs, err)
	}
	m := &Middleware{methods: make(map[string]*method, len(o.methods)), trustRequestID: o.trustRequestID}
	for _, f := range o.methods {
		compiled, err := f.compile(locker, &o)
		if err != nil {
			errs = append(errs, err)
		}
		if _, twice := m.methods[f.fullMethod]; twice {
			errs = append(errs, faultf(f.fullMethod, "is named twice"))
		}
		m.methods[f.fullMethod] = compiled
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return m, nil
}

// ServerOptions returns the options for [grpc.NewServer] that install the unary
// and the stream interceptor together, so that neither is forgotten. They are
// chained, in the order in which options are given: recovery and telemetry go
// before them, authentication as well, a database transaction after them.
func (m *Middleware) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(m.Unary()),
		grpc.ChainStreamInterceptor(m.Stream()),
	}
}

// faultf says what is wrong with the options for a method.
func faultf(fullMethod, format string, args ...any) error {
	return fmt.Errorf("%w: grpcmw: method %q "+format, append([]any{core.ErrOption, fullMethod}, args...)...)
}
