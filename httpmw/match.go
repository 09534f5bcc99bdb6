package httpmw

import (
	"net/http"
	"net/url"
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
// A client chooses how it writes a request, and must not thereby choose to have no
// lock. A path with unusual escapes, dots or double slashes is read differently by
// different routers, and a method may be overridden by X-HTTP-Method-Override (or
// X-HTTP-Method, X-Method-Override). Such a request is locked if it is in any of
// its readings: match is called for each, with copies of the request that differ in
// URL or Method. What else a client may choose (the host, other headers, a parameter
// such as _method) is for match to judge: a middleware that replaces the method or
// path for it has to stand outside the lock.
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

// locks reports whether r is to be locked: whether it is in any reading of it.
func (o *options) locks(r *http.Request) bool {
	return o.locksAsRead(r) || slices.ContainsFunc(variants(r), o.locksAsRead)
}

func (o *options) locksAsRead(r *http.Request) bool {
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
// HEAD, OPTIONS and TRACE (RFC 9110, section 9.2.1). It is safe if handlers change
// nothing for these four. A handler that does not look at the method, under a
// pattern without one, runs without a lock for whoever sends GET.
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
// for. Any client can send one. Behind Except(Preflight), a handler that does not
// look at the method, under a pattern without one, runs without a lock for it.
func Preflight(r *http.Request) bool {
	return r.Method == http.MethodOptions &&
		r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// Methods returns a function that matches requests with one of these methods,
// which are compared as they are: methods are case-sensitive (RFC 9110, section
// 9.1). With [Only], a route behind the lock has to name its methods, too: else its
// handler runs without a lock for any other. It panics without any.
func Methods(names ...string) func(*http.Request) bool {
	if len(names) == 0 {
		panic("httpmw: Methods without a method")
	}
	names = slices.Clone(names)
	return func(r *http.Request) bool { return slices.Contains(names, r.Method) }
}

// PathPrefix returns a function that matches requests for prefix and all paths
// below it: /api is for /api, /api/ and /api/orders, not for /apiary. The
// request's path is taken as an [http.ServeMux] takes it: it is split into segments
// and each is decoded, so that %2F does not part segments and nothing is cleaned.
// [Only] and [Except] ask for the readings of other routers, too. It panics if
// prefix, which is not escaped, does not begin with a slash.
//
// The paths are those at the place of the lock: behind [http.StripPrefix], without
// that prefix. A middleware that makes another path of a request (one that ignores
// case, say) has to stand outside the lock, or a client may reach a handler
// below prefix without Only(PathPrefix(prefix)) seeing it.
func PathPrefix(prefix string) func(*http.Request) bool {
	if !strings.HasPrefix(prefix, "/") {
		panic("httpmw: PathPrefix " + prefix + " does not begin with a slash")
	}
	prefix = strings.TrimSuffix(path.Clean(prefix), "/")
	segments := strings.Split(prefix, "/")[1:]
	return func(r *http.Request) bool {
		if r.URL.RawPath == "" {
			rest, below := strings.CutPrefix(r.URL.Path, prefix)
			return below && (rest == "" || rest[0] == '/')
		}
		rest := r.URL.EscapedPath()
		for _, want := range segments {
			below, found := strings.CutPrefix(rest, "/")
			if !found {
				return false
			}
			end := strings.IndexByte(below, '/')
			if end < 0 {
				end = len(below)
			}
			if segment, err := url.PathUnescape(below[:end]); err != nil || segment != want {
				return false
			}
			rest = below[end:]
		}
		return true
	}
}

// Patterns returns a function that matches the requests that an [http.ServeMux]
// with these patterns would hand to a handler, such as "PUT /orders/{id}" or
// "/static/". What that mux would redirect is not matched: "/static/" is not for
// /static, which may be another route's. It panics like ServeMux.Handle if a
// pattern is malformed or conflicts with another, and without any. It routes each
// request, which takes about as long as the mux behind takes for it, and an
// allocation for a wildcard: on a busy path [PathPrefix] is cheaper.
//
// Who uses it with [Only] says which requests have a lock, and all others have none:
// the patterns have to be as wide as the routes behind the lock. The host is the
// client's choice like the path: a pattern with a host is safe only if the routes
// behind the lock name the same host, and one with a method only if they name the
// method. Some routers take more for a route than a ServeMux does: echo's last :id
// takes slashes, which is {id...} here, and chi's StripSlashes and CleanPath drop a
// slash at the end, which asks for /orders/{id}/{$} beside /orders/{id}.
func Patterns(patterns ...string) func(*http.Request) bool {
	if len(patterns) == 0 {
		panic("httpmw: Patterns without a pattern")
	}
	mux := http.NewServeMux()
	for _, p := range patterns {
		mux.Handle(p, matched{})
	}
	return func(r *http.Request) bool {
		h, _ := mux.Handler(r)
		_, is := h.(matched)
		return is
	}
}

// matched is the handler of Patterns. It is never called.
type matched struct{}

func (matched) ServeHTTP(http.ResponseWriter, *http.Request) {}
