// Httpserver is a web server whose orders change one request at a time.
//
//	go run ./examples/httpserver
//
// It needs nothing but Go: without -redis it embeds a Redis. Ctrl-C lets the
// requests that run finish.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/examples/internal/demo"
	"github.com/latchkey-go/latchkey/httpmw"
	"github.com/latchkey-go/latchkey/idgen"
)

const curl = `Two requests at once; the second one waits for the first:

  curl -i -X PUT http://%[1]v/orders/42 & curl -i -X PUT http://%[1]v/orders/42; wait
`

// newHandler is all that a service needs: one lock for the updates of an order.
func newHandler(locker core.Locker, out io.Writer) (http.Handler, error) {
	lock, err := httpmw.New(locker, httpmw.Key("order:{path.id}"), httpmw.Wait(10*time.Second), httpmw.MaxWaiters(32))
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("PUT /orders/{id}", lock(putOrder(out)))
	return httpmw.RequestID()(mux), nil
}

// putOrder is a slow handler that must not run twice at once for one order.
func putOrder(out io.Writer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lock, _ := core.FromContext(r.Context()) // always there: the route fails closed
		id, _ := idgen.FromContext(r.Context())
		fmt.Fprintf(out, "order %s: request %s begins, after %v in line\n",
			r.PathValue("id"), id, lock.Info().Waited.Round(time.Millisecond))
		select {
		case <-time.After(2 * time.Second): // the work
		case <-r.Context().Done():
			return // the client is gone or the lock is lost: change nothing
		}
		// A database would remember the token and refuse a lower one.
		fmt.Fprintf(w, "order %s changed, fencing token %d\n", r.PathValue("id"), lock.Token())
	})
}

// run serves until ctx ends, and then until the requests that run are done.
func run(ctx context.Context, args []string, out io.Writer) error {
	addr, redisAddr, err := demo.ParseFlags("httpserver", "127.0.0.1:8080", args, out)
	if err != nil {
		return err
	}
	rdb, stopRedis, err := demo.StartRedis(ctx, redisAddr)
	if err != nil {
		return err
	}
	defer stopRedis()
	locker, err := core.New(rdb)
	if err != nil {
		return err
	}
	defer locker.Close()
	handler, err := newHandler(locker, out)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	fmt.Fprintf(out, curl, listener.Addr())
	return demo.Serve(ctx, out, func() error { return server.Serve(listener) }, func(ctx context.Context) error {
		// The locker first: it sends those in line away and lets holders finish.
		return errors.Join(locker.Shutdown(ctx), server.Shutdown(ctx))
	})
}

func main() { demo.Main("httpserver", run) }
