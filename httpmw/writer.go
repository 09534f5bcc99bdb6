package httpmw

import (
	"bufio"
	"io"
	"net"
	"net/http"

	"github.com/felixge/httpsnoop"
)

// response is a ResponseWriter that knows whether anything was written. The
// embedded writer has exactly the optional interfaces of the one it wraps
// (Flusher, Hijacker, ReaderFrom, Pusher, …) and an Unwrap method: handlers ask
// for them by type assertion, and a WebSocket upgrade fails, or io.Copy falls
// back from sendfile, if one is hidden or made up.
type response struct {
	http.ResponseWriter
	// written is true once the response is out of our hands: a final status is
	// chosen or the connection is hijacked.
	written   bool
	hijacking hijacking
	watch     stopwatch
}

func track(w http.ResponseWriter, r *http.Request, policy HijackPolicy) *response {
	t := &response{hijacking: hijacking{policy: policy}}
	t.ResponseWriter = httpsnoop.Wrap(showHijacker(w), httpsnoop.Hooks{
		WriteHeader: func(next httpsnoop.WriteHeaderFunc) httpsnoop.WriteHeaderFunc {
			return func(code int) {
				// 1xx are followed by another one, except Switching Protocols, which
				// HTTP/2 does not have (RFC 9113, section 8.6).
				switching := code == http.StatusSwitchingProtocols
				switch {
				case switching && policy == RefuseHijack:
					t.hijacking.refused = true
					return
				case code >= 200, switching && r.ProtoMajor == 1:
					t.written = true
				}
				next(code)
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
			return func(src io.Reader) (int64, error) {
				n, err := next(src)
				// Nothing is sent for an empty source; the header is still open.
				t.written = t.written || n > 0
				return n, err
			}
		},
		// Flushing sends the header, with 200 if none was chosen.
		Flush: func(next httpsnoop.FlushFunc) httpsnoop.FlushFunc {
			return func() {
				t.written = true
				next()
			}
		},
		FlushError: func(next httpsnoop.FlushErrorFunc) httpsnoop.FlushErrorFunc {
			return func() error {
				t.written = true
				return next()
			}
		},
		Hijack: func(next httpsnoop.HijackFunc) httpsnoop.HijackFunc {
			return func() (net.Conn, *bufio.ReadWriter, error) {
				conn, rw, err := t.hijacking.hijack(next)
				if err == nil {
					t.written = true
				}
				return conn, rw, err
			}
		},
	})
	return t
}
