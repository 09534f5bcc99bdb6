package grpcmw

import (
	"context"
	"errors"
	"time"
)

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

// aside runs one function, once for each message, in one goroutine of its own that
// ends with a context: a caller may leave while the function is blocked. It is for one
// caller at a time.
type aside struct {
	fn    func(message any) error
	calls chan any
	ended chan relayed // has room, so that a result that nobody waits for blocks nobody
	timer *time.Timer
}

// errBlocked: the function took longer than it may.
var errBlocked = errors.New("grpcmw: blocked for too long")

// run returns the function's error, ctx's own as soon as it ends, or errBlocked after
// limit unless that is 0. After one of the latter two the function may still be
// running, and run must not be called again. ctx must be the same at every call.
func (a *aside) run(ctx context.Context, message any, limit time.Duration) error {
	if a.calls == nil {
		a.calls, a.ended = make(chan any), make(chan relayed, 1)
		go a.serve(ctx, a.calls, a.ended)
	}
	select {
	case a.calls <- message:
	case <-ctx.Done():
		return ctx.Err()
	}
	var over <-chan time.Time
	if limit > 0 {
		if a.timer == nil {
			a.timer = time.NewTimer(limit)
		} else {
			a.timer.Reset(limit)
		}
		defer a.timer.Stop()
		over = a.timer.C
	}
	select {
	case r := <-a.ended:
		if r.err == errGoexit {
			a.calls = nil // its goroutine is gone
		}
		return r.result()
	case <-ctx.Done():
		return ctx.Err()
	case <-over:
		return errBlocked
	}
}

func (a *aside) serve(ctx context.Context, calls <-chan any, ended chan<- relayed) {
	for {
		select {
		case message := <-calls:
			a.call(message, ended)
		case <-ctx.Done():
			return
		}
	}
}

// call answers also if the function panics or ends the goroutine.
func (a *aside) call(message any, ended chan<- relayed) {
	r := relayed{err: errGoexit}
	defer func() {
		if p := recover(); p != nil {
			r.panicked = p
		}
		ended <- r
	}()
	r.err = a.fn(message)
}
