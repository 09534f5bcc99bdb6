// Flashsale sells 200 units to 2,000 buyers, three times over: without a lock,
// with the lock of the flash-sale articles, and with Latchkey.
//
//	go run ./examples/flashsale
//
// It needs nothing but Go: Redis is embedded (-redis takes a real one), the
// database is SQLite in a temporary folder, and two replicas of the service
// run in the process, each with its own Redis client, Locker, database
// connections, and HTTP and gRPC server. The buyers are real clients over real
// sockets.
//
// Where to read first:
//
//   - latchkey.go: all that a service needs to lock its requests;
//   - internal/shop: the purchase that goes wrong without a lock, and the
//     fencing token in its SQL;
//   - http.go and grpc.go: the handlers; replica.go: one instance of the service;
//   - sale.go: one mode from opening to closing; internal/crowd: the buyers.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/redis/go-redis/v9/logging"
)

func main() {
	// go-redis logs every dial that fails, on standard error. The report says
	// once what came of it.
	logging.Disable()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second Ctrl-C, for the impatient, is not caught and ends the process.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
