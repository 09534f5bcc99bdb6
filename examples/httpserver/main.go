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
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/httpmw"
)

const curl = `Two requests at once; the second one waits for the first:

  curl -i -X PUT http://%[1]v/orders/42 & curl -i -X PUT http://%[1]v/orders/42; wait

Ctrl-C ends.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "httpserver:", err)
		os.Exit(2)
	}
}

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

// run serves until ctx ends, and then until the requests that run are done.
func run(ctx context.Context, args []string, out io.Writer) error {
	addr, redisAddr, err := parseFlags(args, out)
	if err != nil {
		return err
	}
	rdb, stopRedis, err := startRedis(ctx, redisAddr)
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
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintf(out, curl, listener.Addr())
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	fmt.Fprintln(out, "Finishing what runs.")
	patience, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// The locker first: it sends those in line away and lets holders finish.
	return errors.Join(locker.Shutdown(patience), server.Shutdown(patience))
}
