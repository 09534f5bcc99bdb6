package httpmw

import (
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"
)

// DefaultClientTimeout is how long a client may keep its handler waiting: see
// [ClientTimeout].
const DefaultClientTimeout = 10 * time.Second

// ClientTimeout sets how long a client may neither send, while its body is being
// read, nor take, while its answer is being written. The default is
// [DefaultClientTimeout], and 0 is no bound. It is HAProxy's "timeout client", and
// what nginx calls client_body_timeout and send_timeout: each byte that comes begins
// it anew, as does each part of the answer, of 32 KiB at most, that goes. A handler
// that does neither may be silent for as long as it likes.
//
// Before the lock, such a client is denied with 408 and LOCK_BODY_TIMEOUT. Under
// the lock, it loses its connection (with HTTP/2, its stream), so that the handler
// returns and gives the lock back: Read and Write fail with an error that matches
// [os.ErrDeadlineExceeded], and the request's context ends, with HTTP/2 only if the
// answer is not taken. A handler that writes no answer after such a Read is
// answered with 408. One that ignores the error is bounded by [MaxHold].
//
// It bounds pauses, not the whole, for which a server has its ReadTimeout and
// WriteTimeout: they are neither moved nor prolonged by it. It needs a
// ResponseWriter whose deadlines an [http.ResponseController] can reach. With
// HTTP/2, a client that reads nothing at all from its connection keeps every stream
// of it from ending: set WriteByteTimeout in [http.Server.HTTP2] as well.
func ClientTimeout(d time.Duration) Option {
	return option(func(o *options) {
		if o.clientTimeout = d; d < 0 {
			o.bad("ClientTimeout %v is negative", d)
		}
	})
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// clientTimer bounds how long one request waits for its client, in one direction.
// The zero value does not.
//
// It has a timer of its own, and moves a deadline only once time is up: a deadline
// that is renewed at each read or write would undo those of the server and the
// handler, which nobody can ask for, and HTTP/2 resets a stream when its deadline
// passes though nobody is writing. The timer is made at the first wait for the
// client, so that most requests have none. It is not pooled: a timer must not leave
// its testing/synctest bubble.
type clientTimer struct {
	limit   time.Duration
	w       http.ResponseWriter
	writing bool

	mu     sync.Mutex
	timer  *time.Timer
	since  time.Time // the last wait began
	waits  int       // that are under way; a body may be closed while it is read
	fired  bool
	closed bool

	interrupted bool
}

// start begins a wait for the client.
func (t *clientTimer) start() {
	if t.limit == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waits++
	t.reset()
	if t.interrupted && !t.closed {
		t.expire()
	}
}

func (t *clientTimer) reset() {
	if t.closed || t.fired {
		return
	}
	t.since = time.Now()
	if t.timer == nil {
		t.timer = time.AfterFunc(t.limit, t.fire)
	} else {
		t.timer.Reset(t.limit)
	}
}

// stop ends a wait and returns what it ended with.
func (t *clientTimer) stop(err error) error {
	if t.limit == 0 {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waits--; t.waits > 0 {
		t.reset()
	} else if t.timer != nil {
		t.timer.Stop()
	}
	if err == nil || !t.fired {
		return err
	}
	return &clientTimeoutError{t.limit, t.writing, err}
}

func (t *clientTimer) fire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	// A timer that ran out just before it was reset finds another wait.
	if t.waits == 0 || t.closed || time.Since(t.since) < t.limit {
		return
	}
	t.fired = true
	t.expire()
}

// interrupt ends the wait that is under way, and those that follow.
func (t *clientTimer) interrupt() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.interrupted = true
	if t.waits > 0 && !t.closed {
		t.expire()
	}
}

// expire may be called in a wait only: net/http reads an HTTP/1 connection also
// after the body's end, to see whether its client has gone, and a deadline would
// end that.
func (t *clientTimer) expire() {
	c := http.NewResponseController(t.w)
	if t.writing {
		_ = c.SetWriteDeadline(longAgo)
	}
	// A write, too, can wait for the body: before it sends the header of an
	// HTTP/1 answer, net/http reads what the handler has left of it.
	_ = c.SetReadDeadline(longAgo)
}

// close ends all. A ResponseWriter must not be used once its handler has returned.
func (t *clientTimer) close() {
	if t.limit == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.timer != nil {
		t.timer.Stop()
	}
}

// timedOut reports whether the client was given up.
func (t *clientTimer) timedOut() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fired
}

// clientTimeoutError is what a read or a write ended with when the client had kept
// it waiting for too long.
type clientTimeoutError struct {
	limit   time.Duration
	writing bool
	cause   error
}

func (e *clientTimeoutError) Error() string {
	did := "sent"
	if e.writing {
		did = "taken"
	}
	return fmt.Sprintf("httpmw: the client has %s nothing for %v: %v", did, e.limit, e.cause)
}

func (e *clientTimeoutError) Unwrap() []error { return []error{os.ErrDeadlineExceeded, e.cause} }

// Timeout makes it a timeout to those who ask for a [net.Error].
func (e *clientTimeoutError) Timeout() bool { return true }

// Temporary completes a [net.Error].
func (e *clientTimeoutError) Temporary() bool { return false }
