package httpmw

import (
	"context"
	"net/http"

	"github.com/latchkey-go/latchkey/idgen"
)

// RequestIDHeader is the header in which [RequestID] answers a request's ID and,
// if told to, accepts one.
const RequestIDHeader = "X-Request-ID"

// RequestIDOption configures [RequestID].
type RequestIDOption interface{ applyRequestID(*requestIDOptions) }

type requestIDOption func(*requestIDOptions)

func (o requestIDOption) applyRequestID(to *requestIDOptions) { o(to) }

type requestIDOptions struct{ trust bool }

// TrustRequestID accepts the ID that comes with the request, if there is one
// and idgen.ValidRequestID holds for it; else one is generated nonetheless. Only
// for servers whose callers are all trusted, such as those behind a gateway that
// sets the header: a client that chooses its ID can make its requests look like
// somebody else's in logs and traces.
func TrustRequestID() RequestIDOption {
	return requestIDOption(func(o *requestIDOptions) { o.trust = true })
}

// RequestID returns a middleware that gives each request an ID: in its context
// (idgen.FromContext) and in the response's X-Request-ID header. A valid ID that
// is in the context already is kept.
//
// It may stand outside an [http.ServeMux]: the pattern and the path values that
// the mux finds are also on the request that the middlewares around RequestID
// hold. The middleware that [New] returns gives an ID to a request that has no
// valid one, but does not answer it.
func RequestID(opts ...RequestIDOption) func(http.Handler) http.Handler {
	var o requestIDOptions
	for _, opt := range opts {
		if opt != nil {
			opt.applyRequestID(&o)
		}
	}
	return func(next http.Handler) http.Handler {
		mustHandler(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			id, ok := idgen.FromContext(ctx)
			if !ok || !idgen.ValidRequestID(id) {
				id = o.requestID(r)
				ctx = idgen.NewContext(ctx, id)
			}
			w.Header().Set(RequestIDHeader, id)
			serveCopy(ctx, next, w, r, nil)
		})
	}
}

func (o *requestIDOptions) requestID(r *http.Request) string {
	if o.trust {
		// Two IDs are no ID: they tell of two opinions on the way.
		if id, err := only(r.Header.Values(RequestIDHeader)); err == nil && idgen.ValidRequestID(id) {
			return id
		}
	}
	return idgen.NewRequestID()
}

// withRequestID returns ctx with a valid ID, and the ID.
func withRequestID(ctx context.Context) (context.Context, string) {
	if id, ok := idgen.FromContext(ctx); ok && idgen.ValidRequestID(id) {
		return ctx, id
	}
	id := idgen.NewRequestID()
	return idgen.NewContext(ctx, id), id
}
