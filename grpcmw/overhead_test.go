package grpcmw_test

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
	"github.com/latchkey-go/latchkey/grpcmw/internal/testpb"
)

// trip is one round trip to Redis, as a lock would make it by itself.
var trip = redis.NewScript(`return redis.call("SET", KEYS[1], ARGV[1], "NX", "PX", "10000")`)

// overhead is three methods of one server, with one client and one Redis: Update is
// locked, Free is bare, and Own makes one round trip. Each call has a key of its own,
// so nothing contends.
type overhead struct {
	orders
	b      *testing.B
	rdb    *redis.Client
	locker *core.RedisLocker
	client testpb.OrdersClient
	next   int64
}

func (o *overhead) Own(ctx context.Context, r *testpb.Order) (*testpb.Reply, error) {
	return &testpb.Reply{}, trip.Run(ctx, o.rdb, []string{"trip:" + strconv.FormatInt(r.GetNumber(), 10)}, "owner").Err()
}

func newOverhead(b *testing.B, opts ...grpcmw.MethodOption) *overhead {
	o := &overhead{b: b, rdb: locktest.StartRedis(b).Client(&redis.Options{ContextTimeoutEnabled: true})}
	var err error
	if o.locker, err = core.New(o.rdb); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = o.locker.Close() })
	m := mustNew(b, o.locker, grpcmw.For(testpb.Orders_Update_FullMethodName, grpcmw.Field("order.number"), opts...))
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
		found, err := o.locker.Inspect(o.b.Context(), testpb.Orders_Update_FullMethodName+"%:"+strconv.FormatInt(o.next, 10))
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
			took := map[string][]time.Duration{}
			for b.Loop() {
				for _, method := range []string{"locked", "trip", "bare"} {
					took[method] = append(took[method], o.call(method))
				}
			}
			median := func(method string) float64 {
				slices.Sort(took[method])
				return float64(took[method][len(took[method])/2].Nanoseconds()) / 1e3
			}
			b.ReportMetric(0, "ns/op") // of all together: says nothing
			b.ReportMetric(median("locked"), "locked-µs")
			b.ReportMetric(median("trip"), "trip-µs")
			b.ReportMetric(median("bare"), "bare-µs")
			b.ReportMetric(median("locked")/median("trip"), "ratio")
		})
	}
}
