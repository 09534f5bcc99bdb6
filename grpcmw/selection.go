package grpcmw

import (
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/core"
)

// ForAll locks the calls of all methods that neither [For] nor an option in their
// .proto file names, on key. Calls with the same key lock each other out, whatever
// their methods, unless [Scoped] sets the methods apart.
//
//	grpcmw.ForAll(grpcmw.KeyTemplate("tenant:{metadata.x-tenant}"), grpcmw.Except(pb.Orders_List_FullMethodName))
//
// Services that are about the server itself are left alone, unless [Only] names
// them: health checks, reflection, channelz, load balancing and admin services, by
// their packages (grpc.health, grpc.reflection, grpc.channelz, grpc.admin, grpc.lb,
// grpc.lookup, grpc.binarylog, envoy.service.status, xds.service). [Middleware.Locked]
// lists what is locked.
//
// A stream that the server has no method for, and which
// [google.golang.org/grpc.UnknownServiceHandler] takes, is locked as well, unless it is
// a method of health checks or reflection that gRPC defines, or [Except] names it, or
// Only does not. All of them have the name "unknown" in telemetry and, with [Scoped], in
// the key, because clients may invent as many as they like. Their
// key must not need the request. A proxy that knows its methods names them by For.
func ForAll(key Key, opts ...MethodOption) Option {
	return option(func(o *options) {
		if o.rest != nil {
			o.bad("ForAll is given twice")
		}
		o.rest = &forMethod{allMethods, key, opts}
	})
}

// allMethods stands for the methods of ForAll where a method has a name.
const allMethods = "*"

// Only narrows [ForAll] and [FromProtoOptions] to the methods of that name. A name
// is a full method (pb.Orders_Update_FullMethodName, "/orders.v1.Orders/Update")
// or a service ("orders.v1.Orders"), for all its methods. Several Only add up.
func Only(names ...string) Option {
	return option(func(o *options) { o.only = append(o.only, names...) })
}

// Except takes methods out of [ForAll] and [FromProtoOptions]; names are as in
// [Only], over which it has precedence. A method that [For] names is locked all the
// same: it may be of a service that is excepted, and not be excepted itself.
func Except(names ...string) Option {
	return option(func(o *options) { o.except = append(o.except, names...) })
}

// selection is what Only and Except leave.
type selection struct{ only, except []string }

// names reports whether a method, or its service, is in the list.
func names(list []string, fullMethod string) bool {
	if len(list) == 0 {
		return false
	}
	service, _, _ := splitMethod(fullMethod)
	return slices.Contains(list, fullMethod) || slices.Contains(list, service)
}

// takes reports whether a method may be locked without being named by For.
func (s *selection) takes(fullMethod string, registered bool) bool {
	switch {
	case names(s.except, fullMethod):
		return false
	case len(s.only) > 0:
		return names(s.only, fullMethod)
	}
	return !infrastructure(fullMethod, registered)
}

// infrastructure reports whether a method is of a service that is about the server
// itself. All of grpc. would be too much: it is no reserved name, and a silent
// exception is a lock that is not there. Of what a proxy takes in, it is only what is
// known to be harmless: a name that a client has invented must not unlock its call.
func infrastructure(fullMethod string, registered bool) bool {
	if !registered {
		switch fullMethod {
		case "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", "/grpc.health.v1.Health/List",
			"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
			"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo":
			return true
		}
		return false
	}
	for _, prefix := range [...]string{
		"/grpc.health.", "/grpc.reflection.", "/grpc.channelz.", "/grpc.admin.", "/grpc.lb.", "/grpc.lookup.", "/grpc.binarylog.",
		"/envoy.service.status.", "/xds.service.",
	} {
		if strings.HasPrefix(fullMethod, prefix) {
			return true
		}
	}
	return false
}

// check tells o what is wrong with the names, as far as New can tell.
func (s *selection) check(o *options) {
	if len(s.only) > 0 && o.rest == nil && !o.declared {
		o.bad("Only selects from ForAll and FromProtoOptions, and neither is given")
	}
	for _, name := range slices.Concat(s.only, s.except) {
		if !wellFormed(name) && !wellFormed("/"+name+"/Method") {
			o.bad("Only or Except: %q is neither a service nor of the form /package.Service/Method", name)
		}
	}
	for _, f := range o.methods {
		if slices.Contains(s.except, f.fullMethod) {
			o.errs = append(o.errs, faultf(f.fullMethod, "is named by For and by Except"))
		}
	}
}

// rest is the methods of ForAll.
type rest struct {
	method    method // of all of them
	selection selection
}

// unknownMethod stands for the methods that a server has not registered where a
// method has a name: whoever calls one may choose any.
const unknownMethod = "unknown"

// of returns the method of that name, nil if it is left alone. It is made for each
// call: to keep what is made for a name that a client has invented would be to keep
// what clients send.
func (r *rest) of(fullMethod string, registered bool) *method {
	if r == nil || !r.selection.takes(fullMethod, registered) {
		return nil
	}
	m := r.method
	m.fullMethod = fullMethod
	if !registered {
		m.fullMethod = unknownMethod
	}
	if m.terms.name == "" {
		m.named = core.Name(m.fullMethod)
		if m.terms.scoped {
			m.scope = m.fullMethod
		}
	}
	return &m
}
