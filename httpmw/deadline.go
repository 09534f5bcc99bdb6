package httpmw

import (
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/core"
)

// writeDeadline keeps the time in line out of the server's WriteTimeout, which
// net/http counts from when it has read the request's header. The zero value
// does nothing.
type writeDeadline struct {
	controller *http.ResponseController
	timeout    time.Duration
}

// beginWait moves the deadline such that it cannot pass within wait. It has to
// be done beforehand: HTTP/2 resets the stream the moment the deadline passes.
func beginWait(w http.ResponseWriter, r *http.Request, wait time.Duration) writeDeadline {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok || server.WriteTimeout <= 0 {
		return writeDeadline{}
	}
	d := writeDeadline{http.NewResponseController(w), server.WriteTimeout}
	d.move(min(wait, core.MaxWait) + d.timeout) // a longer one is refused; it must not overflow
	return d
}

// endWait gives the whole timeout to whoever writes now.
func (d writeDeadline) endWait() {
	if d.controller != nil {
		d.move(d.timeout)
	}
}

// move ignores a ResponseWriter that has no deadlines, or hides them: the
// server's WriteTimeout then stays what it was, as documented at Wait.
func (d writeDeadline) move(by time.Duration) {
	_ = d.controller.SetWriteDeadline(time.Now().Add(by))
}
