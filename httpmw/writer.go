package httpmw

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/felixge/httpsnoop"
)

// response is a ResponseWriter that knows whether anything was written. The
// embedded writer has exactly the optional interfaces of the one it wraps
// (Flusher, Hijacker, ReaderFrom, Pusher, …): handlers ask for them by type
// assertion, and a WebSocket upgrade fails, or io.Copy falls back from sendfile,
// if one is hidden or made up.
type response struct {
	http.ResponseWriter
	// written is true once the response is out of our hands: a final status is
	// chosen or the connection is hijacked.
	written   bool
	http1     bool
	hijacking hijacking
	watch     stopwatch
}

// track wraps w. net/http's own writers, of which there are two kinds, cost one
// allocation; those of other middlewares come in all kinds, and are wrapped by
// httpsnoop, whose hooks cost a dozen.
func track(w http.ResponseWriter, r *http.Request, policy HijackPolicy) *response {
	state := response{http1: r.ProtoMajor == 1, hijacking: hijacking{policy: policy}}
	_, unwraps := w.(interface{ Unwrap() http.ResponseWriter })
	_, pushes := w.(http.Pusher)
	if own, ok := w.(http1Writer); ok && !unwraps && !pushes {
		t := &http1Response{ownResponse{own, state}, own}
		t.state.ResponseWriter = t
		return &t.state
	}
	_, hijacks := w.(http.Hijacker)
	_, copies := w.(io.ReaderFrom)
	if own, ok := w.(http2Writer); ok && !unwraps && !hijacks && !copies {
		t := &http2Response{ownResponse{own, state}, own}
		t.state.ResponseWriter = t
		return &t.state
	}
	t := new(response)
	*t = state
	t.ResponseWriter = t.snoop(w)
	return t
}

// writeHeader notes the status, and tells whether it is to be sent.
func (t *response) writeHeader(code int) bool {
	switching := code == http.StatusSwitchingProtocols
	if switching && t.hijacking.policy == RefuseHijack {
		t.hijacking.refused = true
		return false
	}
	// 1xx are followed by another one, except Switching Protocols, which HTTP/2
	// does not have (RFC 9113, section 8.6).
	t.written = t.written || code >= 200 || switching && t.http1
	return true
}

func (t *response) readFrom(next func(io.Reader) (int64, error), src io.Reader) (int64, error) {
	n, err := next(src)
	// Nothing is sent for an empty source; the header is still open.
	t.written = t.written || n > 0
	return n, err
}

func (t *response) hijack(next func() (net.Conn, *bufio.ReadWriter, error)) (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := t.hijacking.hijack(next)
	t.written = t.written || err == nil
	return conn, rw, err
}

// ownWriter is what net/http's own writers have in common.
type ownWriter interface {
	http.ResponseWriter
	io.StringWriter
	http.Flusher
	FlushError() error
	http.CloseNotifier //lint:ignore SA1019 deprecated, and still asked for by old handlers
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	EnableFullDuplex() error
}

type http1Only interface {
	io.ReaderFrom
	http.Hijacker
}

type http1Writer interface {
	ownWriter
	http1Only
}

type http2Writer interface {
	ownWriter
	http.Pusher
}

// ownResponse does not unwrap, as what it wraps does not: there is no way past
// it.
type ownResponse struct {
	ownWriter
	state response
}

func (w *ownResponse) WriteHeader(code int) {
	if w.state.writeHeader(code) {
		w.ownWriter.WriteHeader(code)
	}
}

func (w *ownResponse) Write(b []byte) (int, error) {
	w.state.written = true
	return w.ownWriter.Write(b)
}

func (w *ownResponse) WriteString(s string) (int, error) {
	w.state.written = true
	return w.ownWriter.WriteString(s)
}

// Flush sends the header, with 200 if none was chosen.
func (w *ownResponse) Flush() { _ = w.FlushError() }

func (w *ownResponse) FlushError() error {
	w.state.written = true
	return w.ownWriter.FlushError()
}

type http1Response struct {
	ownResponse
	http1Only
}

func (w *http1Response) ReadFrom(src io.Reader) (int64, error) {
	return w.state.readFrom(w.http1Only.ReadFrom, src)
}

func (w *http1Response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.state.hijack(w.http1Only.Hijack)
}

type http2Response struct {
	ownResponse
	http.Pusher
}

// snoop wraps any other writer.
func (t *response) snoop(w http.ResponseWriter) http.ResponseWriter {
	return httpsnoop.Wrap(direct(w), httpsnoop.Hooks{
		WriteHeader: func(next httpsnoop.WriteHeaderFunc) httpsnoop.WriteHeaderFunc {
			return func(code int) {
				if t.writeHeader(code) {
					next(code)
				}
			}
		},
		Write: func(next httpsnoop.WriteFunc) httpsnoop.WriteFunc {
			return func(b []byte) (int, error) {
				t.written = true
				return next(b)
			}
		},
		WriteString: func(next httpsnoop.WriteStringFunc) httpsnoop.WriteStringFunc {
			return func(s string) (int, error) {
				t.written = true
				return next(s)
			}
		},
		ReadFrom: func(next httpsnoop.ReadFromFunc) httpsnoop.ReadFromFunc {
			return func(src io.Reader) (int64, error) { return t.readFrom(next, src) }
		},
		Flush: func(next httpsnoop.FlushFunc) httpsnoop.FlushFunc {
			return func() {
				t.written = true
				next()
			}
		},
		FlushError: func(next httpsnoop.FlushErrorFunc) httpsnoop.FlushErrorFunc {
			return func() error {
				err := next()
				t.written = t.written || !errors.Is(err, http.ErrNotSupported)
				return err
			}
		},
		Hijack: func(next httpsnoop.HijackFunc) httpsnoop.HijackFunc {
			return func() (net.Conn, *bufio.ReadWriter, error) { return t.hijack(next) }
		},
	})
}
