// Package demo is what the small examples share and what is no part of using
// Latchkey: a program's flags, signals and exit status, and a Redis to try it
// with.
package demo
