package httpmw

import (
	"net/http"
	"path"
	"slices"
	"strings"
)

// Only locks the requests for which match is true and leaves all others alone:
// their handler runs as if it were not wrapped, with the very ResponseWriter and
// request, and costs no more than match does. It is for those who wrap a whole mux:
//
//	httpmw.Only(httpmw.UnsafeMethods)
//
// Without Only and [Except], what is wrapped is locked. Each of them narrows what
// is locked further: a request is locked if every Only matches it and no Except
// does. match is any function of the request, or one of [UnsafeMethods],
// [Methods], [Preflight], [PathPrefix] and [Patterns]. It is called for every
// request, by many at once, must not read the body, and should be fast.
//
// A skipped request that is inside another lock keeps that one.
func Only(match func(*http.Request) bool) Option {
	return option(func(o *options) {
		o.only = append(o.only, match)
		if match == nil {
			o.bad("Only's function is nil")
		}
	})
}

// Except leaves the requests for which match is true alone: see [Only].
func Except(match func(*http.Request) bool) Option {
	return option(func(o *options) {
		o.except = append(o.except, match)
		if match == nil {
			o.bad("Except's function is nil")
		}
	})
}

// locks tells whether r is to be locked.
func (o *options) locks(r *http.Request) bool {
	for _, match := range o.only {
		if !match(r) {
			return false
		}
	}
	for _, match := range o.except {
		if match(r) {
			return false
		}
	}
	return true
}

// UnsafeMethods matches requests that may change something: all methods but GET,
// HEAD, OPTIONS and TRACE (RFC 9110, section 9.2.1).
func UnsafeMethods(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return false
	}
	return true
}

// Preflight matches the CORS preflight of a browser (Fetch, "CORS-preflight
// request"): OPTIONS with the headers Origin and Access-Control-Request-Method.
// It never has the custom headers, cookies or body of the request that it asks
// for.
func Preflight(r *http.Request) bool {
	return r.Method == http.MethodOptions &&
		r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// Methods returns a function that matches requests with one of these methods,
// which are compared as they are. It panics without any.
func Methods(names ...string) func(*http.Request) bool {
	if len(names) == 0 {
		panic("httpmw: Methods without a method")
	}
	names = slices.Clone(names)
	return func(r *http.Request) bool { return slices.Contains(names, r.Method) }
}

// PathPrefix returns a function that matches requests for prefix and all paths
// below it: /api is for /api, /api/ and /api/orders, not for /apiary. The
// request's path is taken as an [http.ServeMux] takes it, decoded and without
// dots and double slashes: behind a router that routes others as they are, do
// not except paths from the lock. It panics if prefix does not begin with a
// slash.
func PathPrefix(prefix string) func(*http.Request) bool {
	if !strings.HasPrefix(prefix, "/") {
		panic("httpmw: PathPrefix " + prefix + " does not begin with a slash")
	}
	prefix = strings.TrimSuffix(path.Clean(prefix), "/")
	return func(r *http.Request) bool {
		rest, below := strings.CutPrefix(cleanPath(r.URL.Path), prefix)
		return below && (rest == "" || rest[0] == '/')
	}
}

// cleanPath is path.Clean, which costs several times as much, where that is
// needed.
func cleanPath(p string) string {
	for i := 1; i < len(p); i++ {
		if p[i-1] == '/' && (p[i] == '/' || p[i] == '.') {
			return path.Clean(p)
		}
	}
	return p
}

// Patterns returns a function that matches the requests that an [http.ServeMux]
// with these patterns would route, such as "PUT /orders/{id}" or "/static/". It
// panics like ServeMux.Handle if one is malformed or conflicts with another, and
// without any. It routes each request, which takes about as long as the mux behind
// takes for it, and an allocation for a wildcard: on a busy path [PathPrefix] is
// cheaper.
func Patterns(patterns ...string) func(*http.Request) bool {
	if len(patterns) == 0 {
		panic("httpmw: Patterns without a pattern")
	}
	mux := http.NewServeMux()
	for _, p := range patterns {
		mux.Handle(p, http.NotFoundHandler())
	}
	return func(r *http.Request) bool {
		_, pattern := mux.Handler(r)
		return pattern != ""
	}
}
