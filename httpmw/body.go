package httpmw

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/latchkey-go/latchkey/core"
)

// DefaultMaxBuffered is the longest body, in bytes, that is read before its
// handler runs: see [MaxBuffered].
const DefaultMaxBuffered = 64 << 10

// maxMaxBuffered keeps the sums of this file in range, whatever an int is.
const maxMaxBuffered = 1 << 30

// Why a request is denied for its body. These reasons are HTTP's own; core has
// the others.
const (
	// ReasonBodyTooLarge: the body is longer than [MaxBuffered], and a part of
	// the key is in it, or [RequireBuffered] is given. 413.
	ReasonBodyTooLarge core.Reason = "LOCK_BODY_TOO_LARGE"
	// ReasonBodyUnsupported: a part of the key is in a body that has a
	// Content-Encoding, or that should be a form and is of another type. 415.
	ReasonBodyUnsupported core.Reason = "LOCK_BODY_UNSUPPORTED"
)

// MaxBuffered sets the longest body, in bytes, that is read before its handler
// runs: by a key with a part in the body, and on a route that waits (see the
// package's documentation). The default is [DefaultMaxBuffered], and the most is
// 1 GiB. Each request keeps what was read of its body until its handler returns,
// so a key can take up MaxWaiters times as much memory in this process.
func MaxBuffered(bytes int) Option {
	return option(func(o *options) {
		if o.maxBuffered = bytes; bytes < 1 || bytes > maxMaxBuffered {
			o.bad("MaxBuffered %d is not between 1 and %d", bytes, maxMaxBuffered)
		}
	})
}

// RequireBuffered reads every body before its request gets in line, with any
// protocol and also if its length is not known (chunked), and refuses those that
// are longer than [MaxBuffered] with 413 and LOCK_BODY_TOO_LARGE. So no request
// stays in line whose client has gone. It is not for routes that answer while the
// client is still sending: the handler runs when the body has ended.
func RequireBuffered() Option { return option(func(o *options) { o.requireBuffered = true }) }

// bodyError is a body that cannot be used.
type bodyError struct {
	reason core.Reason
	text   string
	cause  error
}

func (e *bodyError) Error() string {
	if e.cause == nil {
		return "httpmw: " + e.text
	}
	return "httpmw: " + e.text + ": " + e.cause.Error()
}

func (e *bodyError) Unwrap() error { return e.cause }

// ErrorType is the error's name in telemetry.
func (e *bodyError) ErrorType() string { return "body" }

// readError is a body that broke off: its client may have gone.
type readError struct{ cause error }

func (e *readError) Error() string { return "httpmw: the body cannot be read: " + e.cause.Error() }
func (e *readError) Unwrap() error { return e.cause }

// bodyHead is what is read of a request's body before its handler runs. A nil
// one stands for nothing.
type bodyHead struct {
	request *http.Request
	limit   int
	begun   bool
	bytes   []byte
	// err is what reading ended with, nil at the body's end and behind the
	// limit.
	err error
}

// read reads up to one byte more than the limit, once. The buffer grows with what
// arrives, not with what is announced.
func (h *bodyHead) read() {
	if h.begun || h.request.Body == nil {
		return
	}
	h.begun = true
	var read bytes.Buffer
	_, h.err = read.ReadFrom(io.LimitReader(h.request.Body, int64(h.limit)+1))
	h.bytes = read.Bytes()
}

// whole returns the body if there is no more of it than the limit.
func (h *bodyHead) whole() ([]byte, error) {
	tooLarge := &bodyError{reason: ReasonBodyTooLarge, text: fmt.Sprintf("the body is longer than %d bytes", h.limit)}
	if h.request.ContentLength > int64(h.limit) {
		return nil, tooLarge
	}
	switch h.read(); {
	case len(h.bytes) > h.limit:
		return nil, tooLarge
	case h.err == nil:
		return h.bytes, nil
	}
	if _, is := errors.AsType[*http.MaxBytesError](h.err); is {
		return nil, &bodyError{reason: ReasonBodyTooLarge, text: "the body is too long", cause: h.err}
	}
	return nil, &readError{h.err}
}

// content returns the body for a part of the key; it is empty if there is none.
func (h *bodyHead) content() ([]byte, error) {
	if h.request.Body == nil || h.request.Body == http.NoBody {
		return nil, nil
	}
	for _, coding := range h.request.Header["Content-Encoding"] {
		if coding != "" {
			return nil, &bodyError{reason: ReasonBodyUnsupported, text: fmt.Sprintf("the body is encoded: %q", coding)}
		}
	}
	return h.whole()
}

// tooLarge returns an error if the whole body cannot be buffered. Other errors of
// reading it are the handler's to answer.
func (h *bodyHead) tooLarge() error {
	_, err := h.whole()
	if _, is := errors.AsType[*bodyError](err); !is {
		return nil
	}
	return err
}

// again returns a body that reads the same bytes and errors again, or nil if
// nothing was read.
func (h *bodyHead) again() io.ReadCloser {
	if h == nil || !h.begun {
		return nil
	}
	read := bytes.NewReader(h.bytes)
	switch {
	case h.err != nil: // too large for a MaxBytesReader, cut off
		return replayed{io.MultiReader(read, failingReader{h.err}), h.request.Body}
	case len(h.bytes) > h.limit:
		return replayed{io.MultiReader(read, h.request.Body), h.request.Body}
	}
	return replayed{read, h.request.Body}
}

// watchable tells whether reading the body of r lets net/http notice the client's
// disconnect, and is short enough.
//
// net/http watches an HTTP/1 connection only once the body has been read (Server
// starts its background read at the body's end). Without it, even a body of ten
// bytes makes a zombie: a waiter whose client has long gone wins the lock.
//
// A client that sends its body slowly delays itself here, and not, as it would
// inside the handler, everybody in line behind it.
func watchable(r *http.Request, limit int) bool {
	return r.ProtoMajor == 1 && r.Body != nil && r.ContentLength > 0 && r.ContentLength <= int64(limit)
}

// replayed reads what was read before and closes the body it came from.
type replayed struct {
	io.Reader
	io.Closer
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }
