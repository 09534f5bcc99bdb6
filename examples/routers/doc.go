// Package routers puts httpmw under routers other than net/http's own.
//
// chi needs nothing of this package: its middlewares are those of net/http, and
// it gives requests the pattern and the path values that a lock's key is made
// of. For echo, [EchoRoute] does that, and echo's own adapter takes the lock. gin
// is in a module of its own, examples/ginlock, for what it takes to compile.
//
// Path values are decoded exactly once in keys, however a client writes its path;
// chi.URLParam and echo's Param are not always. Handlers ask [httpmw.PathValue]: the
// fuzz test of this package holds it against both, and gin's against examples/ginlock.
//
// Telemetry sees the same of a request with a lock and without, whether it stands
// around the lock or around the router: the tests of this package tell what.
package routers
