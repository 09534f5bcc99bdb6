package httpmw

import (
	"context"
	"net/http"

	"github.com/latchkey-go/latchkey/core"
)

// Shadow makes the route a trial of its lock: every request is served, and what
// would have been denied is told to [OnDeny] and to observers, with
// [core.Denial.Shadow] and core.Attempt.Shadow set. It is for finding out, before
// the lock is in force, who would be denied and which keys cannot be made.
//
// A request asks for its lock once and does not wait in line, whatever [Wait] is.
// If the lock is granted, the request holds it until its handler returns; if not,
// the handler runs at once, and [core.FromContext] reports no lock. So LOCK_HELD
// counts the requests that would have waited, not those that would have been
// denied, and no two requests are kept apart. What else is measured, and what is
// not, core.Shadow tells. Of a slow Redis, a handler sees a delay of at most
// 100 ms.
//
// What OnDeny writes is dropped: the handler answers. OnDeny's request has no
// body, and its context does not end the request's own. A lost lock is told when
// the handler has returned, and cancels nothing. Nothing is changed for clients:
// bodies are not read ahead, unless for the key or by [RequireBuffered],
// [ClientTimeout] ends nothing, write deadlines are not moved, and [RefuseHijack]
// refuses nothing. So a client that is slow keeps the lock of a trial for as long as
// its handler runs, and others are told as held that would have run.
func Shadow() Option { return option(func(o *options) { o.shadow = true }) }

// shadowedKey finds the request in the context of a guard's run in shadow.
type shadowedKey struct{}

// shadowed returns the context under which the guard reports on r.
func shadowed(ctx context.Context, r *http.Request) context.Context {
	return context.WithValue(ctx, shadowedKey{}, r)
}

// tellShadow tells OnDeny of a denial that is not enforced.
func (o *options) tellShadow(ctx context.Context, d *core.Denial) {
	r, ok := ctx.Value(shadowedKey{}).(*http.Request)
	if !ok || o.onDeny == nil {
		return
	}
	// The body is the handler's to read.
	o.onDeny(dropped{http.Header{}}, copyRequest(ctx, r, http.NoBody), d)
}

// dropped is a ResponseWriter to nobody.
type dropped struct{ header http.Header }

func (d dropped) Header() http.Header         { return d.header }
func (d dropped) Write(b []byte) (int, error) { return len(b), nil }
func (d dropped) WriteHeader(int)             {}
