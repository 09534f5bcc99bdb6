package grpcmw_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
	"github.com/latchkey-go/latchkey/grpcmw/internal/testpb"
	"github.com/latchkey-go/latchkey/internal/uncontended"
)

// overhead is three methods of one server, with one client and one Redis: Update is
// locked, Free is bare, and the handler of Own sends the very command that takes the
// lock. Each call has a key of its own, so nothing contends.
type overhead struct {
	orders
	b      *testing.B
	rdb    *redis.Client
	locker *core.RedisLocker
	client testpb.OrdersClient
	trip   uncontended.Command
	next   int64
}

func (o *overhead) Own(ctx context.Context, r *testpb.Order) (*testpb.Reply, error) {
	return &testpb.Reply{}, o.trip.Do(ctx, o.rdb, strconv.FormatInt(r.GetNumber(), 10))
}

// lockedPrefix is what the keys of locked calls begin with.
const lockedPrefix = "order:"

func newOverhead(b *testing.B, opts ...grpcmw.MethodOption) *overhead {
	server := locktest.StartRedis(b)
	o := &overhead{b: b, rdb: server.Client(&redis.Options{ContextTimeoutEnabled: true})}
	o.trip, _ = uncontended.Record(b, server, lockedPrefix)
	var err error
	if o.locker, err = core.New(o.rdb); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = o.locker.Close() })
	m := mustNew(b, o.locker, grpcmw.For(testpb.Orders_Update_FullMethodName, grpcmw.KeyTemplate("order:{field.order.number}"), opts...))
	o.client = testpb.NewOrdersClient(serveAny(b, m.ServerOptions(), func(s *grpc.Server) { testpb.RegisterOrdersServer(s, o) }))
	for range 200 { // connections, pools
		o.call("locked")
		o.call("trip")
	}
	return o
}

// call makes one call and waits until nothing of it is under way: its release must
// not be paid for by the next measurement.
func (o *overhead) call(method string) (took time.Duration) {
	o.next++
	r := &testpb.Order{Number: o.next}
	start := time.Now()
	var err error
	switch method {
	case "locked":
		_, err = o.client.Update(o.b.Context(), &update{Order: r})
	case "trip":
		_, err = o.client.Own(o.b.Context(), r)
	default:
		_, err = o.client.Free(o.b.Context(), &update{Order: r})
	}
	took = time.Since(start)
	if err != nil {
		o.b.Fatal(err)
	}
	for method == "locked" {
		found, err := o.locker.Inspect(o.b.Context(), lockedPrefix+strconv.FormatInt(o.next, 10))
		if err != nil {
			o.b.Fatal(err)
		}
		if found.Lease == nil {
			return took
		}
	}
	return took
}

// BenchmarkOverhead measures in pairs, first the one and then the other, and
// reports the medians and their ratio.
func BenchmarkOverhead(b *testing.B) {
	for name, opts := range map[string][]grpcmw.MethodOption{
		"a method that waits": nil,
		"a method without":    {grpcmw.Wait(0)},
	} {
		b.Run(name, func(b *testing.B) {
			o := newOverhead(b, opts...)
			took := uncontended.Medians{}
			for b.Loop() {
				for _, method := range []string{"locked", "trip", "bare"} {
					took.Took(method, o.call(method))
				}
			}
			took.Report(b)
		})
	}
}
