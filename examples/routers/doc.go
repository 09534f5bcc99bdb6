// Package routers puts httpmw under routers other than net/http's own.
//
// chi needs nothing of this package: its middlewares are those of net/http, and
// it gives requests the pattern and the path values that a lock's key is made
// of. For the other two, [EchoRoute] and [GinRoute] do that; then echo's own
// adapter takes a lock, gin's own takes handlers that are locked, and [Gin] is
// for handlers of gin. They are short, and meant to be copied.
//
// Telemetry keeps its http.route, under each of them, whether it stands outside
// the lock or inside: the tests of this package say where.
package routers
