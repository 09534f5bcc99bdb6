package idgen_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"
	"github.com/latchkey-go/latchkey/idgen"
	"github.com/redis/go-redis/v9"
)

// yourRedis is a miniredis here.
func yourRedis() (rdb redis.UniversalClient, stop func()) {
	server, err := miniredis.Run()
	if err != nil {
		panic(err)
	}
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	return client, func() {
		client.Close()
		server.Close()
	}
}

func ExampleDailySequence() {
	rdb, stop := yourRedis()
	defer stop()

	orders, err := idgen.NewDailySequence(rdb, "orders",
		idgen.Epoch(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), // never to be changed
		idgen.Zone(time.UTC))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer orders.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	id, err := orders.Next(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	parts, err := orders.Split(id)
	fmt.Println(id > 0, parts.Counter, err)
	// Output:
	// true 1 <nil>
}

func ExampleSplitDaily() {
	epoch := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	parts, err := idgen.SplitDaily(121166181380915207, epoch)
	fmt.Println(parts.Time, parts.Counter, err)
	// Output:
	// 2026-11-23 12:26:40 +0000 UTC 7 <nil>
}

func ExampleSequence() {
	rdb, stop := yourRedis()
	defer stop()

	used := idgen.ID(0) // SELECT coalesce(max(id), 0) FROM orders
	orders, err := idgen.NewSequence(rdb, "orders", idgen.After(used))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer orders.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	id, err := orders.Next(ctx)
	fmt.Println(id, err)

	batch := make([]idgen.ID, 3)
	n, err := orders.NextN(ctx, batch)
	fmt.Println(batch[:n], err)
	// Output:
	// 1 <nil>
	// [2 3 4] <nil>
}

// Ask once, before the process reports that it is ready, whether Redis can keep
// the counter.
func ExampleSequence_Check() {
	rdb, stop := yourRedis()
	defer stop()
	orders, err := idgen.NewSequence(rdb, "orders")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer orders.Close()

	switch err := orders.Check(context.Background()); {
	case errors.Is(err, idgen.ErrUnfit):
		fmt.Println("change this first:", err)
	case err != nil:
		fmt.Println("try again:", err)
	default:
		fmt.Println("ready")
	}
	// Output:
	// ready
}

func ExampleUUIDv7() {
	var owners idgen.UUIDv7
	ids := make([]uuid.UUID, 3)
	if _, err := owners.NextN(context.Background(), ids); err != nil {
		fmt.Println(err) // never: it asks nobody
	}
	fmt.Println(ids[0].Version(), ids[0].String() < ids[1].String(), ids[1].String() < ids[2].String())
	// Output:
	// VERSION_7 true true
}

func ExampleUUIDv4() {
	var sessions idgen.UUIDv4
	id, _ := sessions.Next(context.Background())
	fmt.Println(id.Version())
	// Output:
	// VERSION_4
}

// An ID from outside is taken over only if it is harmless.
func ExampleValidRequestID() {
	for _, inbound := range []string{"req-7f.3~a", "x\r\nSet-Cookie: a=b"} {
		id := inbound
		if !idgen.ValidRequestID(id) {
			id = idgen.NewRequestID()
		}
		ctx := idgen.NewContext(context.Background(), id)
		got, _ := idgen.FromContext(ctx)
		fmt.Println(got == inbound)
	}
	// Output:
	// true
	// false
}
