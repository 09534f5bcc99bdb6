// Package crowd is the buyers of a flash sale: real clients over real sockets,
// many at once, each of whom wants one thing and remembers what it was told.
package crowd
