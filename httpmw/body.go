package httpmw

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

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
	// ReasonBodyTimeout: the client sent nothing of its body for as long as
	// [ClientTimeout], or not what is read of it before the lock within the
	// server's ReadTimeout. 408.
	ReasonBodyTimeout core.Reason = "LOCK_BODY_TIMEOUT"
)

// MaxBuffered sets how many bytes of a body are read before its request gets in
// line (see the package's documentation), and the longest body from which a part of
// a key can be read. The default is [DefaultMaxBuffered], and the most is 1 GiB.
// Each request keeps what was read of its body until its handler returns, so a key
// can take up MaxWaiters times as much memory in this process.
func MaxBuffered(bytes int) Option {
	return option(func(o *options) {
		if o.maxBuffered = bytes; bytes < 1 || bytes > maxMaxBuffered {
			o.bad("MaxBuffered %d is not between 1 and %d", bytes, maxMaxBuffered)
		}
	})
}

// RequireBuffered refuses bodies that are longer than [MaxBuffered], with 413 and
// LOCK_BODY_TOO_LARGE, so that every body is there before its request gets in line:
// no request stays in line whose client has gone, and no handler waits for its
// client's body.
func RequireBuffered() Option { return option(func(o *options) { o.requireBuffered = true }) }

// Unbuffered leaves bodies to the handler: nothing is read of them before the lock.
// It is for routes that answer while the client is still sending (full duplex): by
// default such a client, which waits for an answer before it has sent
// [MaxBuffered] bytes, is taken for one that is slow, and denied with 408.
//
// A client that is slow then holds up its line, by up to [ClientTimeout] for each
// pause. Over HTTP/1, a request with a body stays in line when its client has gone.
// Over HTTP/2, one with a body does not wait in line, unless [WaitUnread] is given.
// It cannot be had with RequireBuffered or with a part of the key in the body.
func Unbuffered() Option { return option(func(o *options) { o.unbuffered = true }) }

// WaitUnread lets a request wait in line over HTTP/2 though its body has not been
// read whole, because it is longer than [MaxBuffered] or with [Unbuffered]. By
// default, it is denied with LOCK_HELD at once if its key is held.
//
// What is sent and not read takes up the flow-control window of the whole
// connection (1 MiB, unless the server's HTTP2 says otherwise). So while such a
// request waits, no other request on its connection may be able to send its body,
// whatever its key, and not even the holder: a proxy may have all of its clients on
// one connection.
func WaitUnread() Option { return option(func(o *options) { o.waitUnread = true }) }

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
	client  clientTimer
	begun   bool
	bytes   []byte
	// err is what reading ended with, nil at the body's end and behind the
	// limit.
	err error
}

// bodiless reports whether r came without a body. With HTTP/2, its Body is not
// NoBody then.
func bodiless(r *http.Request) bool {
	return r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0
}

// headOf returns the head of r's body, nil if it will not be asked for.
//
// A client that sends its body slowly is to delay itself, and not everybody in line
// behind it. Besides, net/http watches whether an HTTP/1 client is still there only
// once its body has been read, and an unread body takes up the window of its HTTP/2
// connection.
func (l *locked) headOf(w http.ResponseWriter, r *http.Request) *bodyHead {
	none := bodiless(r)
	_, whole := r.Body.(wholeBody)
	// In shadow, nothing is changed for the client.
	leave := none || l.shadow || whole // by an outer lock
	if leave && !l.key.readsBody() && !l.requireBuffered {
		return nil
	}
	h := &bodyHead{request: r, limit: l.maxBuffered}
	if !leave {
		h.client.limit, h.client.w = l.clientTimeout, w
	}
	return h
}

// read reads up to one byte more than the limit, once. The buffer grows with what
// arrives, not with what is announced.
func (h *bodyHead) read() {
	if h.begun || h.request.Body == nil {
		return
	}
	h.begun = true
	ctx := h.request.Context()
	if _, has := ctx.Deadline(); has && h.client.limit > 0 {
		// An outer middleware's, which no read heeds.
		defer context.AfterFunc(ctx, h.client.interrupt)()
	}
	var read bytes.Buffer
	_, h.err = read.ReadFrom(io.LimitReader(timedBody{h}, int64(h.limit)+1))
	h.bytes = read.Bytes()
}

// unread reports whether a part of the body may still be with the client.
func (h *bodyHead) unread() bool {
	switch {
	case h == nil:
		return false
	case !h.begun:
		return !bodiless(h.request)
	}
	return h.err == nil && len(h.bytes) > h.limit
}

// timedOut returns an error if the client sent nothing for too long.
func (h *bodyHead) timedOut() error {
	ended := errors.Is(h.request.Context().Err(), context.DeadlineExceeded) // the request's own
	if h.err == nil || ended || !errors.Is(h.err, os.ErrDeadlineExceeded) && !h.client.timedOut() {
		return nil
	}
	return &bodyError{reason: ReasonBodyTimeout, text: "the body did not come in time", cause: h.err}
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
	if err := h.timedOut(); err != nil {
		return nil, err
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

// ahead reads what is to be read before the lock, and returns an error if the
// request must not get in line. Other errors of reading are the handler's to answer.
func (h *bodyHead) ahead(require bool) error {
	if !require {
		h.read()
		return h.timedOut()
	}
	_, err := h.whole()
	if _, is := errors.AsType[*bodyError](err); !is {
		return nil
	}
	return err
}

// again returns a body that reads the same bytes and errors again, and the rest from
// the client; nil stands for the request's own.
func (h *bodyHead) again() io.ReadCloser {
	switch {
	case h == nil || h.request.Body == nil || !h.begun && h.client.limit == 0:
		return nil
	case !h.begun:
		return timedBody{h}
	}
	read := bytes.NewReader(h.bytes)
	switch {
	case h.err != nil: // too large for a MaxBytesReader, cut off
		return replayed{io.MultiReader(read, failingReader{h.err}), timedBody{h}}
	case len(h.bytes) > h.limit:
		return replayed{io.MultiReader(read, timedBody{h}), timedBody{h}}
	}
	return wholeBody{replayed{read, h.request.Body}}
}

// timedBody is a request's own body, and bounds how long it waits for the client.
type timedBody struct{ head *bodyHead }

func (b timedBody) Read(p []byte) (int, error) {
	b.head.client.start()
	n, err := b.head.request.Body.Read(p)
	return n, b.head.client.stop(err)
}

// Close waits for the client as well: net/http reads some of what is left.
func (b timedBody) Close() error {
	b.head.client.start()
	return b.head.client.stop(b.head.request.Body.Close())
}

// replayed reads what was read before and closes the body it came from.
type replayed struct {
	io.Reader
	io.Closer
}

// wholeBody is one of which all was read before.
type wholeBody struct{ replayed }

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }
