// Package examples has nothing but a test of the README; its folders are the
// examples. It is a module of its own, so that what they need never reaches a
// user of the library.
package examples
