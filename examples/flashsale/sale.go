package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/latchkey-go/latchkey/examples/flashsale/internal/crowd"
	"github.com/latchkey-go/latchkey/examples/flashsale/internal/shop"
	"github.com/latchkey-go/latchkey/examples/internal/shoppb"
)

// item is what everybody wants.
const item = "gopher"

const (
	// grace is how long those inside may stay for their answer when a sale
	// closes.
	grace = time.Second
	// drainTime is how long replicas have to finish and close. It is more than
	// the 5 s after which net/http gives up on a connection without a request.
	drainTime = 10 * time.Second
)

// shopFloor is a shop that is open: its database and its replicas.
type shopFloor struct {
	dir      string
	database string
	replicas []*replica
	longest  *longestWait
	faults   *faults
}

// openShop makes a new database in a temporary folder, and starts the replicas
// on it. If it fails, nothing is left.
func openShop(ctx context.Context, c config, m mode, r *redisServer) (_ *shopFloor, err error) {
	f := &shopFloor{longest: &longestWait{}, faults: &faults{}}
	if f.dir, err = os.MkdirTemp("", "flashsale-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	f.database = filepath.Join(f.dir, "shop.db")
	db, err := shop.Create(ctx, f.database, item, c.units)
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	for i := range replicas {
		replica, err := startReplica(replicaConfig{
			mode: m, redis: r, database: f.database, think: c.think,
			terms:    terms{wait: c.box, maxWaiters: c.inFlight},
			httpAddr: c.httpAddrs[i], grpcAddr: c.grpcAddrs[i],
			longest: f.longest, faults: f.faults,
		})
		if err != nil {
			return nil, err
		}
		f.replicas = append(f.replicas, replica)
	}
	return f, nil
}

// drain stops the replicas, after which the books are closed.
func (f *shopFloor) drain() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	var errs []error
	for _, r := range f.replicas {
		errs = append(errs, r.stop(ctx))
	}
	f.replicas = nil
	return errors.Join(errs...)
}

// books reads what was sold, after drain.
func (f *shopFloor) books() (_ shop.Books, err error) {
	db, err := shop.Open(f.database)
	if err != nil {
		return shop.Books{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return shop.Look(context.Background(), db, item)
}

// close stops what still runs and removes the database.
func (f *shopFloor) close() error {
	return errors.Join(f.drain(), os.RemoveAll(f.dir))
}

// holdSale runs one mode: opens a shop, lets the crowd in, closes, and looks at
// the books. When ctx ends the sale closes early, and the result is what was
// sold until then.
func holdSale(ctx context.Context, c config, m mode, r *redisServer, p *progress) (_ result, err error) {
	opening := context.WithoutCancel(ctx)
	f, err := openShop(opening, c, m, r)
	if err != nil {
		return result{}, fmt.Errorf("mode %s: %w", m, err)
	}
	defer func() {
		if e := f.close(); e != nil {
			err = errors.Join(err, fmt.Errorf("mode %s: %w", m, e))
		}
	}()
	doors, closeDoors, err := openDoors(f.replicas, c.inFlight)
	if err != nil {
		return result{}, err
	}
	defer closeDoors()

	before, err := r.commands(opening)
	if err != nil {
		return result{}, err
	}
	people := crowd.Crowd{Buyers: c.buyers, InFlight: c.inFlight, Box: c.box, Grace: grace, Item: item}
	res := result{mode: m, units: c.units, buyers: c.buyers}
	res.tally = people.Run(ctx, doors, p.update)
	p.done()
	after, err := r.commands(opening)
	if err != nil {
		// Redis has gone during the sale. What was sold is all the more worth
		// knowing.
		res.trouble = fmt.Errorf("the sale has lost Redis: %w", err)
		before, after = 0, unknown
	}
	res.commands = after - before

	closeDoors() // or the servers wait for the connections
	if err := f.drain(); err != nil {
		res.trouble = errors.Join(res.trouble, fmt.Errorf("mode %s: %w", m, err))
	}
	if res.books, err = f.books(); err != nil {
		return result{}, err
	}
	res.longest, res.faults = f.longest.explain(), f.faults
	return res, nil
}

// openDoors returns the ways into the shop: HTTP and gRPC by turns, of each
// replica.
func openDoors(replicas []*replica, inFlight int) (_ []crowd.Door, closeDoors func(), err error) {
	client := crowd.NewHTTPClient(inFlight)
	closers := []func(){client.CloseIdleConnections}
	closeDoors = func() {
		for _, c := range closers {
			c()
		}
	}
	var doors []crowd.Door
	for _, r := range replicas {
		conn, err := grpc.NewClient(r.grpcAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			closeDoors()
			return nil, nil, err
		}
		closers = append(closers, func() { _ = conn.Close() }) // twice is ErrClosing, which is closed too
		doors = append(doors,
			&crowd.HTTPDoor{Client: client, Base: "http://" + r.httpAddr()},
			&crowd.GRPCDoor{Client: shoppb.NewShopClient(conn)})
	}
	return doors, closeDoors, nil
}
