package httpmw

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/keys"
	"github.com/latchkey-go/latchkey/internal/lines"
	"github.com/latchkey-go/latchkey/internal/onceper"
)

// New returns a middleware under which, of all requests with the same key, one
// runs at a time. It takes its locks from locker. It may wrap any number of
// handlers, which then share the options, and is safe for concurrent use; a nil
// handler makes it panic.
//
// The error matches [core.ErrOption] and lists everything that is wrong with
// the key and the options; for a template it also matches a
// *keys.SyntaxError.
func New(locker core.Locker, key KeySource, opts ...Option) (func(http.Handler) http.Handler, error) {
	o := newOptions(opts)
	if key == nil {
		o.bad("the KeySource is nil")
	} else {
		maker, err := key.compile()
		o.key = maker
		o.errs = append(o.errs, err)
	}
	if o.shadow {
		o.guard = append(o.guard, core.Shadow(o.tellShadow))
		if o.onHijack == RefuseHijack {
			o.onHijack = HoldUntilReturn
		}
	}
	if o.unbuffered && (o.requireBuffered || o.key != nil && o.key.readsBody()) {
		o.bad("Unbuffered cannot be had with RequireBuffered or with a part of the key in the body")
	}
	guard, err := core.NewGuard(locker, o.guard...)
	o.errs = append(o.errs, err)
	if err := errors.Join(o.errs...); err != nil {
		return nil, err
	}
	return func(next http.Handler) http.Handler {
		mustHandler(next)
		_, mux := next.(*http.ServeMux)
		return &locked{options: o, guard: guard, next: next, aroundMux: mux}
	}, nil
}

// locked is a handler under a lock.
type locked struct {
	options
	guard *core.Guard
	next  http.Handler
	named atomic.Pointer[patternName] // the last; mostly there is one

	aroundMux bool
	told      onceper.Set
}

// patternName is the option that names a lock for a route's pattern.
type patternName struct {
	pattern string
	option  core.AcquireOption
}

func (l *locked) nameOf(pattern string) core.AcquireOption {
	n := l.named.Load()
	if n == nil || n.pattern != pattern {
		n = &patternName{pattern, core.Name(pattern)}
		l.named.Store(n)
	}
	return n.option
}

var _ http.Handler = (*locked)(nil)

// ServeHTTP runs the handler with the lock of r's key, without one if r or its key
// is skipped, or answers why not.
func (l *locked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !l.locks(r) {
		l.next.ServeHTTP(w, r)
		return
	}
	ctx, id := withRequestID(r.Context())
	head := l.headOf(w, r)
	if head != nil {
		defer head.client.close()
	}
	key, err := l.keyOf(r, head)
	if err == nil && head != nil && (l.requireBuffered || !l.shadow && !l.unbuffered) {
		err = head.ahead(l.requireBuffered)
	}
	if err != nil {
		l.logFault(r, err)
		l.serveKeyless(ctx, w, r, head, err)
		return
	}
	terms := append(make([]core.AcquireOption, 0, 2), core.WithMeta(core.Meta{RequestID: id}))
	if l.name == "" && r.Pattern != "" {
		terms = append(terms, l.nameOf(r.Pattern))
	}
	l.serve(ctx, w, r, head, key, terms)
}

// keyOf returns the key of r, under its scope if it has one.
func (l *locked) keyOf(r *http.Request, body *bodyHead) (string, error) {
	scope := ""
	if l.scoped {
		if scope = cmp.Or(l.name, r.Pattern); scope == "" {
			return "", &wiringFault{"Scoped needs the route's pattern, and the router has set none (http.Request.Pattern): give a Name"}
		}
	}
	key, err := l.key.key(r, keyTerms{fallback: l.fallback, body: body, aroundMux: l.aroundMux})
	if err != nil {
		return "", err
	}
	return keys.Scoped(scope, key), nil
}

// serveKeyless answers a request whose key could not be made, or serves it
// without a lock.
func (l *locked) serveKeyless(ctx context.Context, w http.ResponseWriter, r *http.Request, head *bodyHead, err error) {
	body := head.again()
	skipped := l.skipMissing && errors.Is(err, core.ErrKeyMissing)
	if !skipped {
		d := keyDenial(r.Context(), err)
		if !l.shadow {
			response := track(w, r, l.onHijack)
			response.watch = l.startWatch()
			l.deny(response, copyRequest(ctx, r, body), head, d)
			return
		}
		d.Shadow = true
		l.tellShadow(shadowed(ctx, r), d)
	}
	if head != nil {
		head.client.close() // nobody waits behind it
	}
	// Under an outer lock, that one is not the lock of this key.
	serveCopy(core.NewContext(ctx, nil), l.next, w, r, body)
}

func (l *locked) serve(ctx context.Context, w http.ResponseWriter, r *http.Request, head *bodyHead, key string, terms []core.AcquireOption) {
	terms, wait := l.terms(r, terms)
	if wait > 0 && wait <= core.MaxWait && r.ProtoMajor >= 2 && head.unread() && !l.waitUnread && !l.shadow {
		wait = 0
		terms = append(terms, core.Wait(0)) // see WaitUnread
	}
	var deadline writeDeadline
	if wait > 0 && !l.shadow {
		deadline = beginWait(w, r, wait)
	}
	body := head.again() // nil: r's own
	response := track(w, r, l.onHijack)
	response.watch = l.startWatch()
	if l.shadow {
		ctx = shadowed(ctx, r)
	}
	conn := lines.Conn{}
	if wait > 0 && !l.shadow {
		conn = connOf(r)
	}
	err := l.lines.Run(ctx, conn, l.guard, key, func(held context.Context) error {
		deadline.endWait()
		response.watch.stop(w)
		if l.onHijack == Detach {
			var end context.CancelFunc
			held, response.hijacking.detach, end = detachable(ctx, held)
			defer end()
		}
		if _, locked := core.FromContext(held); locked && !l.shadow {
			response.beginLocked(l.clientTimeout, head)
			defer response.client.close()
		} else if head != nil {
			head.client.close() // nobody waits behind it
		}
		serveCopy(held, l.next, response.ResponseWriter, r, body)
		return nil
	}, terms...)
	switch {
	case err == nil:
		response.answerRefused()
		response.answerTimedOut(r)
		return
	case response.written:
		// The handler has begun its answer and then lost its lock; observers
		// have been told of the loss.
		if l.onLoss == AbortResponse {
			abort(r)
		}
		return
	}
	deadline.endWait()
	d := core.Denied(err) // not nil: the function itself never fails
	if d.Reason == core.ReasonSelfDeadlock {
		d.Cause = fmt.Errorf("httpmw: two locks with the same key in one request, here from %q: %w", l.key, d.Cause)
	}
	l.deny(response, copyRequest(ctx, r, body), head, d)
}

// deny answers a denied request, to which nothing was written.
func (l *locked) deny(w *response, r *http.Request, head *bodyHead, d *core.Denial) {
	w.watch.stop(w.ResponseWriter)
	if l.onDeny != nil {
		l.onDeny(w.ResponseWriter, r, d)
	}
	if !w.written {
		writeDenial(w.ResponseWriter, r, d, l.preset)
	}
	if w.http1 && head.unread() {
		// Or net/http would wait for the rest of the body before it answers.
		client := clientTimer{limit: l.clientTimeout, w: w.ResponseWriter}
		client.start()
		_ = client.stop(http.NewResponseController(w.ResponseWriter).Flush())
		client.close()
	}
}

// keyDenial is the denial for a key that could not be made. Whatever a KeyFunc
// fails with, the request is at fault: the same function made other keys.
func keyDenial(ctx context.Context, err error) *core.Denial {
	if errors.Is(err, core.ErrKeyMissing) {
		return &core.Denial{Reason: core.ReasonKeyMissing, Cause: err}
	}
	if _, is := errors.AsType[*wiringFault](err); is {
		return &core.Denial{Reason: core.ReasonInternal, Cause: err}
	}
	if b, is := errors.AsType[*bodyError](err); is {
		return &core.Denial{Reason: b.reason, Cause: err}
	}
	if _, is := errors.AsType[*readError](err); is && ctx.Err() != nil {
		return core.Ended(ctx, err)
	}
	if !errors.Is(err, core.ErrKey) {
		err = fmt.Errorf("%w: %w", core.ErrKey, err)
	}
	return &core.Denial{Reason: core.ReasonKeyInvalid, Cause: err}
}
