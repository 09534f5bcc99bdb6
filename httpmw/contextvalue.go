package httpmw

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/latchkey-go/latchkey/core"
)

// ContextValue says what the placeholder {context.name} is: what from finds in
// the request's context, where an outer middleware, such as authentication, has
// put it. An empty text is a part that is missing.
//
//	httpmw.Key("order:{context.tenant}:{path.id}", httpmw.ContextValue("tenant", auth.Tenant))
//
// The keys of context values are typed, so that a template cannot name them. from
// is called by many requests at once.
func ContextValue(name string, from func(context.Context) string) KeyOption {
	return contextValue{name, from}
}

type contextValue struct {
	name string
	from func(context.Context) string
}

var _ KeyOption = contextValue{}

func (v contextValue) applyKey(to *contextValues) {
	_, twice := to.from[v.name]
	switch {
	case v.from == nil:
		to.bad("the function of ContextValue %q is nil", v.name)
		v.from = func(context.Context) string { return "" } // or its placeholder would be one more fault
	case twice:
		to.bad("ContextValue %q is given twice", v.name)
	}
	if to.from == nil {
		to.from, to.used = map[string]func(context.Context) string{}, map[string]bool{}
	}
	to.from[v.name] = v.from
}

// contextValues are those that a template may use.
type contextValues struct {
	from map[string]func(context.Context) string
	used map[string]bool
	errs []error
}

func (c *contextValues) bad(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("%w: httpmw: "+format, append([]any{core.ErrOption}, args...)...))
}

// use returns the function for name, nil if there is none.
func (c *contextValues) use(name string) func(context.Context) string {
	from := c.from[name]
	if from != nil {
		c.used[name] = true
	}
	return from
}

// unused returns an error for each value that no placeholder names: a misspelt
// one, or a key that is not what it was meant to be.
func (c *contextValues) unused() (errs []error) {
	for _, name := range slices.Sorted(maps.Keys(c.from)) {
		if !c.used[name] {
			errs = append(errs, fmt.Errorf("%w: httpmw: no placeholder {context.%s} for its ContextValue", core.ErrOption, name))
		}
	}
	return errs
}
