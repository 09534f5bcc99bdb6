package httpmw

import (
	"bytes"
	"io"
	"net/http"
)

// maxReadAhead is the longest body that is read before its request gets in
// line.
const maxReadAhead = 64 << 10

// readAhead reads the body of r and returns one that gives the same bytes and
// errors again, or nil if the body should stay as it is.
//
// It is for net/http's sake, which watches an HTTP/1 connection for the client's
// disconnect only once the body has been read (Server starts its background read
// at the body's end). Without it, even a body of ten bytes makes a zombie: a
// waiter whose client has long gone wins the lock.
//
// A client that sends its body slowly delays itself here, and not, as it would
// inside the handler, everybody in line behind it.
func readAhead(r *http.Request) io.ReadCloser {
	if r.ProtoMajor != 1 || r.Body == nil || r.ContentLength <= 0 || r.ContentLength > maxReadAhead {
		return nil
	}
	// The buffer grows with what arrives, not with what is announced. The limit
	// holds against a middleware that unpacks the body and leaves its length.
	var read bytes.Buffer
	n, err := read.ReadFrom(io.LimitReader(r.Body, maxReadAhead))
	var rest io.Reader
	switch {
	case err != nil: // too large for a MaxBytesReader, cut off: the handler's to answer
		rest = failingReader{err}
	case n == maxReadAhead:
		rest = r.Body
	default:
		return replayed{&read, r.Body}
	}
	return replayed{io.MultiReader(&read, rest), r.Body}
}

// replayed reads what was read ahead and closes the body it came from.
type replayed struct {
	io.Reader
	io.Closer
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }
