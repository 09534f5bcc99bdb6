package httpmw

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/internal/lines"
)

// The defaults of a locked route. They are tighter than core's: behind each
// waiter stands a client with a connection.
const (
	DefaultWait       = 5 * time.Second
	DefaultMaxWaiters = 100
	DefaultMaxHold    = 5 * time.Minute
	// DefaultMaxWaitingPerConn is the most requests of one HTTP/2 connection that wait
	// in line: of the 250 at a time that net/http allows, enough are left for others.
	DefaultMaxWaitingPerConn = 100
)

// Option configures [New].
type Option interface{ apply(*options) }

type option func(*options)

func (o option) apply(to *options) { o(to) }

type options struct {
	key      keyMaker
	guard    []core.GuardOption
	wait     time.Duration
	lines    *lines.Lines
	of       perRequest
	name     string
	scoped   bool
	onLoss   LossPolicy
	onHijack HijackPolicy
	preset   preset
	shadow   bool
	onDeny   func(http.ResponseWriter, *http.Request, *core.Denial)
	errs     []error

	only, except []func(*http.Request) bool
	skipMissing  bool
	fallback     func(*http.Request) string

	maxBuffered     int
	requireBuffered bool
	unbuffered      bool
	waitUnread      bool
	clientTimeout   time.Duration
	serverTiming    bool
}

func newOptions(opts []Option) options {
	o := options{wait: DefaultWait, lines: lines.New(DefaultMaxWaitingPerConn), maxBuffered: DefaultMaxBuffered, clientTimeout: DefaultClientTimeout, guard: []core.GuardOption{
		core.Wait(DefaultWait), core.MaxWaiters(DefaultMaxWaiters), core.MaxHold(DefaultMaxHold),
	}}
	for _, opt := range opts {
		if opt != nil {
			opt.apply(&o)
		}
	}
	return o
}

func (o *options) bad(format string, args ...any) {
	o.errs = append(o.errs, fmt.Errorf("%w: httpmw: "+format, append([]any{core.ErrOption}, args...)...))
}

func guardOption(opt core.GuardOption) Option { return fixed(opt, func(*perRequest) {}) }

// fixed is a guard's option, of which there is no longer a function of the
// request.
func fixed(opt core.GuardOption, forget func(*perRequest)) Option {
	return option(func(o *options) {
		forget(&o.of)
		o.guard = append(o.guard, opt)
	})
}

// Wait sets the longest time in line, at most [core.MaxWait]; the default is
// [DefaultWait]. Wait(0) does not wait: a held key is denied at once.
//
// The time in line does not count towards the server's WriteTimeout, which
// would otherwise end a request that waited for long without any answer: on a
// route that waits, the connection's write deadline is moved such that the
// handler, or the denial, has the whole WriteTimeout from when the wait is over.
// This overrides a write deadline that an outer middleware has set, and needs a
// ResponseWriter whose SetWriteDeadline an [http.ResponseController] can reach.
//
// It does count towards the server's ReadTimeout, if that is set, for what of the
// body is not read before the request gets in line (see the package's
// documentation): an upload longer than [MaxBuffered] that waits beyond it breaks
// off in the handler. ReadHeaderTimeout leaves the body alone.
func Wait(d time.Duration) Option {
	return option(func(o *options) {
		o.wait, o.of.wait = d, nil
		o.guard = append(o.guard, core.Wait(d))
	})
}

// MaxWaiters caps the requests that wait for one key in this process; the
// default is [DefaultMaxWaiters]. One more is denied at once, with 429.
func MaxWaiters(n int) Option {
	return fixed(core.MaxWaiters(n), func(of *perRequest) { of.maxWaiters = nil })
}

// MaxWaitingPerConn caps the requests that wait in line, for whichever keys, of one
// HTTP/2 connection; the default is [DefaultMaxWaitingPerConn] for each middleware, and
// 0 is no cap. One more is denied with 429 and [core.ReasonQueueFull] unless its key
// is free: at once, or after 10 ms if the others have just come. HTTP/1, where a
// connection has one request at a time, has no such cap.
//
// A request in line is one of those that the connection may carry at a time: 250, or
// [http.HTTP2Config].MaxConcurrentStreams. If all of them were in line, a request for a
// free key would have to wait on the client's side. So n is best half of that.
// Middlewares that are given one and the same Option count together, which several
// routes of one server should:
//
//	together := httpmw.MaxWaitingPerConn(100)
func MaxWaitingPerConn(n int) Option {
	together := lines.New(n)
	return option(func(o *options) {
		if o.lines = together; n < 0 {
			o.bad("MaxWaitingPerConn %d is negative", n)
		}
	})
}

// connOf identifies the connection of a request that shares it with others.
func connOf(r *http.Request) lines.Conn {
	if r.ProtoMajor < 2 {
		return lines.Conn{}
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return lines.ConnOf(local, remoteAddr(r.RemoteAddr))
}

// remoteAddr is a request's RemoteAddr.
type remoteAddr string

func (a remoteAddr) Network() string { return "" }
func (a remoteAddr) String() string  { return string(a) }

// TTL sets the lease's time to live: see [core.TTL]. The default is the
// Locker's.
func TTL(d time.Duration) Option {
	return fixed(core.TTL(d), func(of *perRequest) { of.ttl = nil })
}

// MaxHold bounds how long one request keeps the lock; the default is
// [DefaultMaxHold], and 0 is no bound. When it is over, the handler's context
// is cancelled with cause [core.ErrMaxHold].
func MaxHold(d time.Duration) Option {
	return fixed(core.MaxHold(d), func(of *perRequest) { of.maxHold = nil })
}

// Name names what is locked in telemetry. Without it the name is the pattern with
// which an [http.ServeMux] chose the route. Give a name when another router, which
// leaves [http.Request.Pattern] empty, is used. It must be of low cardinality and
// not be empty. It is a part of the key only with [Scoped].
func Name(name string) Option {
	return option(func(o *options) {
		o.name = name
		if name == "" {
			o.bad("Name is empty")
			return
		}
		o.guard = append(o.guard, core.Name(name))
	})
}

// Scoped puts the [Name], or without one the route's pattern
// ([http.Request.Pattern]), before the key: PUT /orders/{id}%:order:42 (see
// keys.Scoped). Requests of other routes for the same order then run beside this
// one, so it is for routes that must not wait for each other. Whoever inspects or
// breaks the lock has to name the whole key. A pattern that is written otherwise,
// with {order} in place of {id}, is another scope: during a rollout old and new
// replicas do not exclude each other. A Name stays. Routes with the same pattern have
// the same scope, as those of two muxes under [http.StripPrefix] may: they need Names.
//
// Without a Name, and under a router that sets no pattern, there is no scope: each
// request is answered with 500 and LOCK_INTERNAL, and one log record (slog) says so.
func Scoped() Option { return option(func(o *options) { o.scoped = true }) }

// OnBackendError chooses what happens when the lock backend is unavailable. The
// default is [core.FailClosed]: 503. With [core.FailOpen] the handler runs
// without a lock.
func OnBackendError(p core.BackendErrorPolicy) Option { return guardOption(core.OnBackendError(p)) }

// AwaitRelease makes the response wait (or not) until the release is answered,
// for at most 250 ms or until the request's context ends. By default only
// routes with Wait(0) do, where a client's next request must not be told "held"
// because of its own last one.
func AwaitRelease(await bool) Option { return guardOption(core.AwaitRelease(await)) }

// OnDeny is called for each request that is denied, [core.ReasonCanceled]
// included, and with [core.ReasonLost] for each handler that has lost its lock
// and written nothing. It may write any answer; if it writes none, to log only,
// the request is answered by [WriteDenial]. The headers it has set stay.
//
// The request's context carries its ID. The denial's Cause may name the key: it
// is for logs. fn is called by many requests at once.
func OnDeny(fn func(http.ResponseWriter, *http.Request, *core.Denial)) Option {
	return option(func(o *options) {
		o.onDeny = fn
		if fn == nil {
			o.bad("OnDeny's function is nil")
		}
	})
}
