package backend_test

import (
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// subscription is a Listener and what it has called.
type subscription struct {
	*backend.Listener
	grants chan backend.Grant
	notes  chan backend.Note
	breaks chan backend.Note
	ups    chan struct{}
	downs  chan error
}

// open starts to listen. The subscription is closed when the test is over.
func open(tb testing.TB, be *backend.Backend, p backend.Process) *subscription {
	const more = 100 // than any test makes: a handler must not block
	e := &subscription{
		grants: make(chan backend.Grant, more), notes: make(chan backend.Note, more),
		breaks: make(chan backend.Note, more),
		ups:    make(chan struct{}, more), downs: make(chan error, more),
	}
	e.Listener = be.Listen(p, backend.Handler{
		Granted:   func(g backend.Grant) { e.grants <- g },
		Contended: func(n backend.Note) { e.notes <- n },
		Broken:    func(n backend.Note) { e.breaks <- n },
		Up:        func(backend.SubscriptionID) { e.ups <- struct{}{} },
		Down:      func(_ backend.SubscriptionID, err error) { e.downs <- err },
	})
	e.Open(0)
	tb.Cleanup(e.Close)
	return e
}

// listen starts to listen on the stage's Redis, and returns when that is
// confirmed.
func listen(s *stage, p backend.Process) *subscription {
	s.Helper()
	e := open(s, s.be, p)
	receive(s, e.ups)
	return e
}

// receive returns what comes from c.
func receive[V any](tb testing.TB, c <-chan V) V {
	tb.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		tb.Fatal("nothing came")
		panic("unreachable")
	}
}
