package remote_test

import (
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/remote"
)

// ear is a Listener and what it has called.
type ear struct {
	*remote.Listener
	grants chan remote.Grant
	notes  chan remote.Note
	breaks chan remote.Note
	ups    chan struct{}
	downs  chan error
}

// open starts to listen. The ear is closed when the test is over.
func open(tb testing.TB, room *remote.Room, p remote.Process) *ear {
	const more = 100 // than any test makes: a handler must not block
	e := &ear{
		grants: make(chan remote.Grant, more), notes: make(chan remote.Note, more),
		breaks: make(chan remote.Note, more),
		ups:    make(chan struct{}, more), downs: make(chan error, more),
	}
	e.Listener = room.Listen(p, remote.Handler{
		Granted:   func(g remote.Grant) { e.grants <- g },
		Contended: func(n remote.Note) { e.notes <- n },
		Broken:    func(n remote.Note) { e.breaks <- n },
		Up:        func(remote.Ear) { e.ups <- struct{}{} },
		Down:      func(_ remote.Ear, err error) { e.downs <- err },
	})
	e.Open(0)
	tb.Cleanup(e.Close)
	return e
}

// listen starts to listen on the stage's Redis, and returns when that is
// confirmed.
func listen(s *stage, p remote.Process) *ear {
	s.Helper()
	e := open(s, s.room, p)
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
