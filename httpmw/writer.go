package httpmw

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"math"
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

	client clientTimer
	body   *bodyHead // that the handler reads under the lock, or nil
	// buffered is how much more net/http keeps to itself before it sends any.
	buffered int
	// closing: the client is told that its connection ends with this answer.
	closing bool
}

// track wraps w. net/http's own writers, of which there are two kinds, cost one
// allocation; those of other middlewares come in all kinds, and are wrapped by
// httpsnoop, whose hooks cost a dozen.
func track(w http.ResponseWriter, r *http.Request, policy HijackPolicy) *response {
	t := wrap(w)
	t.http1 = r.ProtoMajor == 1
	t.hijacking.policy = policy
	return t
}

func wrap(w http.ResponseWriter) *response {
	_, unwraps := w.(interface{ Unwrap() http.ResponseWriter })
	_, pushes := w.(http.Pusher)
	if own, ok := w.(http1Writer); ok && !unwraps && !pushes {
		t := &http1Response{ownResponse{ownWriter: own}, own}
		return t.own(t)
	}
	_, hijacks := w.(http.Hijacker)
	_, copies := w.(io.ReaderFrom)
	if own, ok := w.(http2Writer); ok && !unwraps && !hijacks && !copies {
		t := &http2Response{ownResponse{ownWriter: own}, own}
		return t.own(t)
	}
	t := new(response)
	t.ResponseWriter = t.snoop(w)
	return t
}

// ownBuffered is what net/http's own writers buffer at least: 2 KiB of an HTTP/1
// answer, 4 KiB with HTTP/2.
const ownBuffered = 2 << 10

func (w *ownResponse) own(self http.ResponseWriter) *response {
	w.state.ResponseWriter, w.state.buffered = self, ownBuffered
	return &w.state
}

// beginLocked says that the handler runs under the lock, and reads head.
func (t *response) beginLocked(limit time.Duration, head *bodyHead) {
	t.body = head
	t.client.limit, t.client.w, t.client.writing = limit, t.ResponseWriter, true
}

// write notes that the answer begins.
func (t *response) write() {
	t.sayClosing()
	t.written = true
}

// sayClosing gives the connection up if the client was, in the middle of its body:
// what is left of it must not be read as the next request. net/http sees to that
// only if it is not full duplex.
func (t *response) sayClosing() {
	if !t.written && t.http1 && t.body != nil && t.body.client.timedOut() {
		t.Header().Set("Connection", "close")
		t.closing = true
	}
}

// answerTimedOut ends a response whose client was given up in the middle of its body
// by a handler that wrote nothing: net/http would send 200.
func (t *response) answerTimedOut(r *http.Request) {
	switch {
	case t.body == nil || !t.body.client.timedOut():
	case !t.written:
		t.WriteHeader(http.StatusRequestTimeout)
	case t.http1 && !t.closing:
		abort(r)
	}
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
	if code >= 200 || switching && t.http1 {
		t.write()
	}
	return true
}

// sendHeader sends what writeHeader allows.
func (t *response) sendHeader(next func(int), code int) {
	if !t.writeHeader(code) {
		return
	}
	if code >= 200 { // is kept until something of the body is sent
		next(code)
		return
	}
	t.client.start()
	next(code)
	_ = t.client.stop(nil)
}

// pieceSize is how much of an answer must be taken within the ClientTimeout.
const pieceSize = 32 << 10

// writePieces writes b, each piece in a time of its own: a client that takes a long
// answer steadily is not slow.
func writePieces[T string | []byte](t *response, next func(T) (int, error), b T) (n int, err error) {
	t.write()
	if t.client.limit == 0 || len(b) <= t.buffered {
		t.buffered -= len(b)
		return next(b)
	}
	t.buffered = 0
	for {
		piece := b[n:min(len(b), n+pieceSize)]
		t.client.start()
		wrote, err := next(piece)
		err = t.client.stop(err)
		n += wrote
		switch {
		case err != nil || n >= len(b):
			return n, err
		case wrote < len(piece):
			return n, io.ErrShortWrite
		}
	}
}

func (t *response) readFrom(next func(io.Reader) (int64, error), src io.Reader) (n int64, err error) {
	if t.client.limit > 0 {
		next = t.timedReadFrom(next)
	}
	t.sayClosing()
	n, err = next(src)
	// Nothing is sent for an empty source; the header is still open.
	if n > 0 {
		t.write()
	}
	return n, err
}

// timedReadFrom has each piece of a file sent in a time of its own, by sendfile if
// next can, and does not count the time that another source takes.
func (t *response) timedReadFrom(next func(io.Reader) (int64, error)) func(io.Reader) (int64, error) {
	timed := func(src io.Reader) (int64, error) {
		t.client.start()
		n, err := next(src)
		return n, t.client.stop(err)
	}
	return func(src io.Reader) (n int64, err error) {
		limited, is := src.(*io.LimitedReader)
		if !is {
			limited = &io.LimitedReader{R: src, N: math.MaxInt64}
		}
		if !regularFile(limited.R) {
			return timed(pausing{src, &t.client})
		}
		for limited.N > 0 {
			// Not nested: net looks for a file in one LimitedReader only.
			piece := &io.LimitedReader{R: limited.R, N: min(limited.N, pieceSize)}
			size := piece.N
			m, err := timed(piece)
			n += m
			limited.N -= size - piece.N
			if err != nil || m < size {
				return n, err
			}
			t.write()
		}
		return n, nil
	}
}

func regularFile(r io.Reader) bool {
	f, is := r.(interface{ Stat() (fs.FileInfo, error) })
	if !is {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}

// pausing is a source that is not the client.
type pausing struct {
	src    io.Reader
	client *clientTimer
}

func (p pausing) Read(b []byte) (int, error) {
	_ = p.client.stop(nil)
	defer p.client.start()
	return p.src.Read(b)
}

// flush is next in a time of its own.
func (t *response) flush(next func() error) error {
	t.client.start()
	return t.client.stop(next())
}

func (t *response) hijack(next func() (net.Conn, *bufio.ReadWriter, error)) (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := t.hijacking.hijack(next)
	if err == nil {
		t.written = true
		t.client.close() // the connection is the handler's
		if t.body != nil {
			t.body.client.close()
		}
	}
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
	w.state.sendHeader(w.ownWriter.WriteHeader, code)
}

func (w *ownResponse) Write(b []byte) (int, error) {
	return writePieces(&w.state, w.ownWriter.Write, b)
}

func (w *ownResponse) WriteString(s string) (int, error) {
	return writePieces(&w.state, w.ownWriter.WriteString, s)
}

// Flush sends the header, with 200 if none was chosen.
func (w *ownResponse) Flush() { _ = w.FlushError() }

func (w *ownResponse) FlushError() error {
	w.state.write()
	return w.state.flush(w.ownWriter.FlushError)
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
			return func(code int) { t.sendHeader(next, code) }
		},
		Write: func(next httpsnoop.WriteFunc) httpsnoop.WriteFunc {
			return func(b []byte) (int, error) { return writePieces(t, next, b) }
		},
		WriteString: func(next httpsnoop.WriteStringFunc) httpsnoop.WriteStringFunc {
			return func(s string) (int, error) { return writePieces(t, next, s) }
		},
		ReadFrom: func(next httpsnoop.ReadFromFunc) httpsnoop.ReadFromFunc {
			return func(src io.Reader) (int64, error) { return t.readFrom(next, src) }
		},
		Flush: func(next httpsnoop.FlushFunc) httpsnoop.FlushFunc {
			return func() {
				t.write()
				_ = t.flush(func() error { next(); return nil })
			}
		},
		FlushError: func(next httpsnoop.FlushErrorFunc) httpsnoop.FlushErrorFunc {
			return func() error {
				t.sayClosing()
				err := t.flush(next)
				if !errors.Is(err, http.ErrNotSupported) {
					t.write()
				}
				return err
			}
		},
		Hijack: func(next httpsnoop.HijackFunc) httpsnoop.HijackFunc {
			return func() (net.Conn, *bufio.ReadWriter, error) { return t.hijack(next) }
		},
	})
}
