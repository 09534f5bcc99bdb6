package grpcmw

import "errors"

// relayed is how a function that ran in a goroutine of its own ended.
type relayed struct {
	err      error
	panicked any
}

// errGoexit stands for the result of a function that ended its goroutine.
var errGoexit = errors.New("grpcmw: a goroutine was ended by runtime.Goexit")

// relay runs fn in a goroutine of its own. Were a panic left there, no recovery
// interceptor could catch it and the whole program would end.
func relay(fn func() error) <-chan relayed {
	ended := make(chan relayed, 1)
	go func() {
		r := relayed{err: errGoexit}
		defer func() {
			if p := recover(); p != nil {
				r.panicked = p
			}
			ended <- r
		}()
		r.err = fn()
	}()
	return ended
}

// result returns the function's error, or panics with what it panicked with.
func (r relayed) result() error {
	if r.panicked != nil {
		panic(r.panicked)
	}
	return r.err
}
