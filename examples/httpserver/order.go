package main

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/idgen"
)

// work is how long a change of an order takes.
const work = 2 * time.Second

// putOrder is a slow handler that must not run twice at once for one order.
func putOrder(out io.Writer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		lock, _ := core.FromContext(ctx) // always there: the route fails closed
		id, _ := idgen.FromContext(ctx)
		fmt.Fprintf(out, "order %s: request %s begins, after %v in line\n",
			r.PathValue("id"), id, lock.Info().Waited.Round(time.Millisecond))
		select {
		case <-time.After(work):
		case <-ctx.Done():
			return // the client is gone or the lock is lost: change nothing
		}
		// A database would remember the token and refuse a lower one.
		fmt.Fprintf(w, "order %s changed, fencing token %d\n", r.PathValue("id"), lock.Token())
	})
}
