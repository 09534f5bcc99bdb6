package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"

	"github.com/latchkey-go/latchkey/examples/flashsale/internal/shop"
	"github.com/latchkey-go/latchkey/idgen"
)

// namespace is the prefix of all names in Redis.
const namespace = "flashsale"

// replica is one instance of the service, with nothing shared but Redis and the
// database file: as if it were a process on a machine of its own.
type replica struct {
	rdb        *redis.Client
	db         *sql.DB
	ids        *idgen.DailySequence
	protection protection

	httpListener, grpcListener net.Listener
	httpServer                 *http.Server
	grpcServer                 *grpc.Server

	cutOff  context.CancelFunc // ends the contexts of all HTTP requests
	closing chan struct{}      // closed first of all when the replica stops
	served  chan error         // what the two servers' Serve returned
}

// replicaConfig is what a replica is made of.
type replicaConfig struct {
	mode               mode
	redis              *redisServer
	database           string // the path of its file
	think              shop.Thinking
	terms              terms
	httpAddr, grpcAddr string

	longest *longestWait
	faults  *faults
}

// startReplica starts a replica that serves when it returns. If it fails,
// nothing is left running; the error matches startError if it is an address
// that cannot be listened on.
func startReplica(c replicaConfig) (_ *replica, err error) {
	r := &replica{closing: make(chan struct{}), served: make(chan error, 2)}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close(context.Background()))
		}
	}()
	if r.httpListener, err = net.Listen("tcp", c.httpAddr); err != nil {
		return nil, cannotStart(err)
	}
	if r.grpcListener, err = net.Listen("tcp", c.grpcAddr); err != nil {
		return nil, cannotStart(err)
	}
	r.rdb = c.redis.client()
	if r.ids, err = newOrderIDs(r.rdb); err != nil {
		return nil, err
	}
	if r.db, err = shop.Open(c.database); err != nil {
		return nil, err
	}
	if r.protection, err = newProtection(c.mode, r.rdb, c.terms, c.faults); err != nil {
		return nil, err
	}
	desk := &checkout{
		shop:       shop.New(r.db, r.ids, c.think),
		protection: r.protection,
		longest:    c.longest,
		faults:     c.faults,
	}
	r.grpcServer = newGRPCServer(desk, r.closing)
	if err := r.protection.verify(r.grpcServer.GetServiceInfo()); err != nil {
		return nil, err
	}
	r.serve(desk)
	return r, nil
}

func (r *replica) serve(c *checkout) {
	requests, cutOff := context.WithCancel(context.Background())
	r.cutOff = cutOff
	r.httpServer = &http.Server{
		BaseContext:       func(net.Listener) context.Context { return requests },
		Handler:           newHTTPHandler(c),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
	}
	go func() { r.served <- r.httpServer.Serve(r.httpListener) }()
	go func() { r.served <- r.grpcServer.Serve(r.grpcListener) }()
}

func (r *replica) httpAddr() string { return r.httpListener.Addr().String() }
func (r *replica) grpcAddr() string { return r.grpcListener.Addr().String() }

// newOrderIDs numbers the orders of all replicas: the second, counted from the
// year in which the shop opened, and a counter in Redis that starts again each
// day.
func newOrderIDs(rdb *redis.Client) (*idgen.DailySequence, error) {
	opened := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	return idgen.NewDailySequence(rdb, "orders", idgen.Epoch(opened), idgen.KeyPrefix(namespace))
}

// stop lets the requests inside finish, until ctx ends, and then closes all
// that the replica has, in the order of who needs whom.
func (r *replica) stop(ctx context.Context) error {
	close(r.closing)
	drained := make(chan struct{})
	go func() {
		r.grpcServer.GracefulStop()
		close(drained)
	}()
	err := r.httpServer.Shutdown(ctx)
	r.cutOff()
	if err != nil {
		err = errors.Join(fmt.Errorf("HTTP server: %w", err), r.httpServer.Close())
	}
	select {
	case <-drained:
	case <-ctx.Done():
		r.grpcServer.Stop() // makes GracefulStop return
		<-drained
		err = errors.Join(err, fmt.Errorf("gRPC server: %w", context.Cause(ctx)))
	}
	for range cap(r.served) {
		if e := <-r.served; e != nil && !errors.Is(e, http.ErrServerClosed) && !errors.Is(e, grpc.ErrServerStopped) {
			err = errors.Join(err, e)
		}
	}
	r.httpListener, r.grpcListener = nil, nil // the servers have closed them
	return errors.Join(err, r.close(ctx))
}

// close closes what was opened, last first.
func (r *replica) close(ctx context.Context) error {
	var errs []error
	if r.protection != nil {
		errs = append(errs, r.protection.close(ctx))
	}
	if r.db != nil {
		errs = append(errs, r.db.Close())
	}
	if r.ids != nil {
		errs = append(errs, r.ids.Close())
	}
	if r.rdb != nil {
		errs = append(errs, r.rdb.Close())
	}
	for _, l := range []net.Listener{r.grpcListener, r.httpListener} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(errs...)
}
