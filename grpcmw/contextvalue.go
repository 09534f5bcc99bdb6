package grpcmw

import (
	"context"
	"strings"
)

// ContextValue gives templates a placeholder {context.name}, whose value fn takes
// from a call's context: what authentication has put there, say. An empty result
// is a value that is missing.
//
//	grpcmw.ContextValue("tenant", func(ctx context.Context) string { return auth.From(ctx).Tenant })
//
// fn is called once for each placeholder of each call, from many goroutines at
// once.
func ContextValue(name string, fn func(context.Context) string) Option {
	return option(func(o *options) {
		switch {
		case name == "" || strings.ContainsAny(name, "{}"):
			o.bad("ContextValue %q: no placeholder can have that name", name)
		case fn == nil:
			o.bad("ContextValue %q: the function is nil", name)
		case o.contextValues[name] != nil:
			o.bad("ContextValue %q is given twice", name)
		}
		if o.contextValues == nil {
			o.contextValues = map[string]func(context.Context) (string, error){}
		}
		// Also if it is nil, so that no template is told that there is none.
		o.contextValues[name] = func(ctx context.Context) (string, error) { return fn(ctx), nil }
	})
}
