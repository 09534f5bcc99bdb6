package grpcmw

import (
	"slices"

	"github.com/latchkey-go/latchkey/core"
)

// ForAll locks the calls of all methods that neither [For] nor an option in their
// .proto file names, on key. The full method is a part of the key, as with For.
//
//	grpcmw.ForAll(grpcmw.Metadata("x-tenant"), grpcmw.Except(pb.Orders_List_FullMethodName))
//
// Health checks (grpc.health.v1), reflection and channelz are left alone, unless
// [Only] names them.
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

// names tells whether a method, or its service, is in the list.
func names(list []string, fullMethod string) bool {
	if len(list) == 0 {
		return false
	}
	service, _, _ := splitMethod(fullMethod)
	return slices.Contains(list, fullMethod) || slices.Contains(list, service)
}

// takes tells whether a method may be locked without being named by For.
func (s *selection) takes(fullMethod string) bool {
	switch {
	case names(s.except, fullMethod):
		return false
	case len(s.only) > 0:
		return names(s.only, fullMethod)
	}
	service, _, _ := splitMethod(fullMethod)
	switch service {
	case "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
		"grpc.reflection.v1alpha.ServerReflection", "grpc.channelz.v1.Channelz":
		return false
	}
	return true
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

// of returns the method of that name, nil if it is left alone. It is made for each
// call: who calls a method that is not there may choose any name, so that to keep
// them would be to keep what clients send.
func (r *rest) of(fullMethod string) *method {
	if r == nil || !r.selection.takes(fullMethod) {
		return nil
	}
	m := r.method
	if m.terms.name == "" {
		m.named = core.Name(fullMethod)
		if !m.terms.unscoped {
			m.scope = fullMethod
		}
	}
	return &m
}
