package httpmw

import "net/http"

// LossPolicy is the outcome of a response that the handler had begun when its
// lock was lost.
type LossPolicy uint8

const (
	// KeepResponse leaves the response to the handler: the default.
	KeepResponse LossPolicy = iota
	// AbortResponse breaks it off, so that the client does not take it for a
	// success.
	AbortResponse
)

// OnLossAfterWrite chooses the outcome of a response whose handler lost its lock
// after it had begun to write. A handler that has written nothing is always
// answered with [core.ReasonLost].
//
// [AbortResponse] panics with [http.ErrAbortHandler] when the handler has
// returned, which closes the connection (HTTP/1) or resets the stream (HTTP/2)
// and is not logged. It does so under an [http.Server] only. What net/http had
// buffered is dropped; a response that was sent whole, with its Content-Length,
// or over a hijacked connection, stays what it is.
func OnLossAfterWrite(p LossPolicy) Option {
	return option(func(o *options) {
		if o.onLoss = p; p > AbortResponse {
			o.bad("unknown LossPolicy %d", p)
		}
	})
}

// abort gives up the connection or stream of r. An implicit end of the response
// would tell the client that it is complete.
func abort(r *http.Request) {
	if r.Context().Value(http.ServerContextKey) != nil {
		panic(http.ErrAbortHandler)
	}
}
