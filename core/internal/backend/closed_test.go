package backend

import (
	"context"
	"testing"
)

// A session that is stuck in the client outlives Close. Whatever comes of it
// then, the handler's owner has gone.
func TestHandlerIsNotCalledOnceTheListenerIsClosed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	l := &Listener{ctx: ctx, cancel: cancel, done: make(chan struct{})}
	close(l.done) // run has given the session up
	calls := 0
	l.call(func() { calls++ })
	l.Close()
	l.call(func() { calls++ })
	if calls != 1 {
		t.Errorf("%d calls, want the one before Close", calls)
	}
}
