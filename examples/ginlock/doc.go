// Package ginlock puts httpmw under gin. [Route] makes gin's own adapter take
// handlers of net/http that are locked, and [Middleware] is a lock for handlers of
// gin. They are short, and meant to be copied.
//
// It is a module of its own, outside the workspace, since gin takes about as long
// to compile as all else that the examples need. make gin tests it.
package ginlock
