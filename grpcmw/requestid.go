package grpcmw

import (
	"context"

	"google.golang.org/grpc/metadata"

	"github.com/latchkey-go/latchkey/idgen"
)

// RequestIDKey is the metadata in which an answer's trailer carries the call's
// ID and, with [TrustRequestID], a call may bring one.
const RequestIDKey = "x-request-id"

// TrustRequestID takes the ID that comes with a call, if there is just one and
// idgen.ValidRequestID holds for it; else one is generated nonetheless. Only
// for servers whose callers are all trusted: a client that chooses its ID can
// make its calls look like somebody else's in logs and traces.
func TrustRequestID() Option { return option(func(o *options) { o.trustRequestID = true }) }

// identify returns ctx with the call's ID, and the ID. A valid one that is in
// ctx already is kept, and answering it left to whoever put it there: a trailer
// cannot be replaced, and would carry it twice.
func (m *Middleware) identify(ctx context.Context, setTrailer func(metadata.MD)) (context.Context, string) {
	if id, ok := idgen.FromContext(ctx); ok && idgen.ValidRequestID(id) {
		return ctx, id
	}
	id := m.requestID(ctx)
	setTrailer(metadata.MD{RequestIDKey: {id}})
	return idgen.NewContext(ctx, id), id
}

func (m *Middleware) requestID(ctx context.Context) string {
	if m.trustRequestID {
		// Two IDs are no ID: they tell of two opinions on the way.
		if ids := metadata.ValueFromIncomingContext(ctx, RequestIDKey); len(ids) == 1 && idgen.ValidRequestID(ids[0]) {
			return ids[0]
		}
	}
	return idgen.NewRequestID()
}
