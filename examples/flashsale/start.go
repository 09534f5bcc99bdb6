package main

import "errors"

// startError is why the program did not begin: its surroundings, such as a port
// in use, rather than itself. The exit status tells the two apart.
type startError struct{ err error }

func (e *startError) Error() string { return e.err.Error() }
func (e *startError) Unwrap() error { return e.err }

func cannotStart(err error) error { return &startError{err} }

func isStartError(err error) bool {
	_, ok := errors.AsType[*startError](err)
	return ok
}
