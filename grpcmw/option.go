package grpcmw

import (
	"context"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/internal/lines"
)

// Defaults of the transports, over those of the Locker.
const (
	// DefaultWait is the longest time in line. It is short because a client
	// waits as well.
	DefaultWait = 5 * time.Second
	// DefaultMaxWaiters is the most calls that wait for one key in this process.
	DefaultMaxWaiters = 100
	// DefaultMaxHold is the longest time that one call may hold its lock.
	DefaultMaxHold = 5 * time.Minute
	// DefaultClientTimeout is the longest time that a stream's client may keep the
	// handler waiting under the lock.
	DefaultClientTimeout = 10 * time.Second
	// DefaultMaxWaitingPerConn is the most calls of one connection that wait in line:
	// half of 100, the least number of calls at a time that RFC 9113, 6.5.2, recommends.
	DefaultMaxWaitingPerConn = 50
)

// Option configures a [Middleware].
type Option interface{ applyMiddleware(*options) }

// MethodOption configures one method that is named by [For].
type MethodOption interface{ applyMethod(*terms) }

// Setting is an option for [New], where it is the default of all methods, and
// for [For], where it is for one method.
type Setting struct{ set func(*terms) }

var (
	_ Option       = Setting{}
	_ MethodOption = Setting{}
)

func (s Setting) applyMiddleware(o *options) { o.settings = append(o.settings, s) }

func (s Setting) applyMethod(t *terms) {
	if s.set != nil {
		s.set(t)
	}
}

// options are what New was given. Settings are kept apart from methods, so that
// it does not matter which come first.
type options struct {
	settings      []MethodOption
	methods       []forMethod
	rest          *forMethod // ForAll; without a method
	declared      bool       // FromProtoOptions
	only, except  []string
	contextValues map[string]func(context.Context) (string, error)
	identifier    identifier
	lines         *lines.Lines
	faults
}

// faults is what is wrong with options.
type faults struct{ errs []error }

func (f *faults) bad(format string, args ...any) {
	f.errs = append(f.errs, fmt.Errorf("%w: grpcmw: "+format, append([]any{core.ErrOption}, args...)...))
}

type option func(*options)

func (o option) applyMiddleware(opts *options) { o(opts) }

// terms are the options in force for one method.
type terms struct {
	guard  []core.GuardOption
	name   string // the full method if empty
	scoped bool
	wait   time.Duration // that of guard
	idle   time.Duration // 0 for no bound
	onLoss LossPolicy
	onDeny func(context.Context, *core.Denial) error
	faults

	// skipMissing and fallback are what becomes of a part that is missing: one of
	// them, or neither.
	skipMissing bool
	fallback    func(context.Context) string

	shadow, transparent bool
}

// terms returns the defaults with the middleware's settings and then a method's
// own over them.
func (o *options) terms(own []MethodOption) *terms {
	t := &terms{idle: DefaultClientTimeout, wait: DefaultWait, guard: []core.GuardOption{
		core.Wait(DefaultWait), core.MaxWaiters(DefaultMaxWaiters), core.MaxHold(DefaultMaxHold),
	}}
	for _, opts := range [][]MethodOption{o.settings, own} {
		for _, opt := range opts {
			if opt != nil {
				opt.applyMethod(t)
			}
		}
	}
	return t
}

// Wait sets the longest time in line; the default is [DefaultWait]. Wait(0)
// does not wait: a call whose key is held is denied at once, and the answer of
// every call waits for its release, for at most 250 ms.
func Wait(d time.Duration) Setting {
	return Setting{func(t *terms) { t.wait, t.guard = d, append(t.guard, core.Wait(d)) }}
}

// MaxWaiters caps the calls that wait for one key in this process; the default
// is [DefaultMaxWaiters]. One more is denied at once.
func MaxWaiters(n int) Setting { return guardSetting(core.MaxWaiters(n)) }

// MaxWaitingPerConn caps the calls that wait in line, for whichever keys, of one
// client's connection; the default is [DefaultMaxWaitingPerConn], and 0 is no cap. One
// more is denied with [core.ReasonQueueFull] unless its key is free: at once, or after
// 10 ms if the others have just come.
//
// A call in line is one of the calls that the connection may carry at a time. If all
// of them were in line, a call for a free key would have to wait on the client's side.
// So n must be less than the server's limit, half of it or less:
// grpc.MaxConcurrentStreams, which this package cannot see, or 250 behind net/http. A
// proxy with few connections to a server without a limit may be given more. As many
// attempts of hedged calls may be kept aside, which are calls of the connection, too.
//
// Several Middlewares of one server that are given one and the same Option count
// together.
func MaxWaitingPerConn(n int) Option {
	together := lines.New(n)
	return option(func(o *options) {
		if o.lines = together; n < 0 {
			o.bad("MaxWaitingPerConn %d is negative", n)
		}
	})
}

// TTL sets the lease's time to live: see [core.TTL]. The default is the
// Locker's own.
func TTL(d time.Duration) Setting { return guardSetting(core.TTL(d)) }

// MaxHold bounds how long one call may hold its lock; the default is
// [DefaultMaxHold], and 0 is no bound. When it is over, the lock is lost. A
// stream that is meant to live longer must say so.
func MaxHold(d time.Duration) Setting { return guardSetting(core.MaxHold(d)) }

// ClientTimeout bounds how long a stream's client may keep the handler waiting under
// the lock; the default is [DefaultClientTimeout], and 0 is no bound. A client is slow
// if it takes no message, so that the handler's SendMsg is blocked for as long; and
// if it sends none for which RecvMsg waits, except on a bidi stream, where it may
// have nothing to say. Such a client loses its call, and with it the lock: the
// blocked SendMsg or RecvMsg and all later ones fail, the stream's context is
// cancelled with a cause that matches [os.ErrDeadlineExceeded], and the call ends with
// DEADLINE_EXCEEDED and without a retry (pushback -1), whatever the handler returns.
//
// The time that the handler itself takes does not count. A stream that runs without a
// lock, and one of [Shadow], has no such bound.
func ClientTimeout(d time.Duration) Setting {
	return Setting{func(t *terms) {
		if t.idle = d; d < 0 {
			t.bad("ClientTimeout %v is negative", d)
		}
	}}
}

// OnBackendError chooses what happens when the lock backend is unavailable; the
// default is [core.FailClosed].
func OnBackendError(p core.BackendErrorPolicy) Setting { return guardSetting(core.OnBackendError(p)) }

// AwaitRelease makes an answer wait, or not, until the lock's release is
// answered: see [core.AwaitRelease]. By default it waits only with Wait(0).
func AwaitRelease(await bool) Setting { return guardSetting(core.AwaitRelease(await)) }

func guardSetting(o core.GuardOption) Setting {
	return Setting{func(t *terms) { t.guard = append(t.guard, o) }}
}

// LossPolicy is the outcome of a stream that had sent messages when its lock
// was lost.
type LossPolicy uint8

const (
	// KeepResult ends the stream with the handler's own result: the default. A
	// handler that only heeded its cancelled context has none, and the stream
	// fails with [core.ReasonLost].
	KeepResult LossPolicy = iota
	// FailStream ends it with [core.ReasonLost], whatever the handler returns.
	FailStream
)

// OnLossAfterSend chooses the outcome of a stream whose lock was lost after the
// handler had sent a message. A unary call, and a stream that has sent nothing,
// always fails with [core.ReasonLost].
func OnLossAfterSend(p LossPolicy) Setting {
	return Setting{func(t *terms) {
		if t.onLoss = p; p > FailStream {
			t.bad("unknown LossPolicy %d", p)
		}
	}}
}

// OnDeny has hook called for each denied call, before the answer is sent, with
// the call's context. An error that it returns is the answer in place of the
// usual one, as it is: without details, and without a pushback unless the hook
// sets that trailer itself ([google.golang.org/grpc.SetTrailer]; "-1" is due
// where the handler ran, which is [core.ReasonLost] and [core.ReasonStale]).
// After nil the usual answer is sent. The denial's cause may hold the key and
// internal errors: it is for logs, not for clients.
//
// The context carries the request's ID. The hook is called from many goroutines
// at once.
func OnDeny(hook func(ctx context.Context, d *core.Denial) error) Setting {
	return Setting{func(t *terms) {
		if t.onDeny = hook; hook == nil {
			t.bad("OnDeny's hook is nil")
		}
	}}
}
