package idgen_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/idgen"
)

func ExampleSnowflake() {
	rdb, stop := yourRedis()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()

	opened := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) // never to be changed
	orders, err := idgen.NewSnowflake(rdb, "orders", idgen.Epoch(opened))
	if err != nil {
		panic(err)
	}
	defer orders.Close()
	switch err := orders.Check(ctx); { // at start-up: a second
	case errors.Is(err, idgen.ErrUnfit):
		panic(err) // Redis may evict what makes the IDs unique
	case err != nil:
		panic(err) // no Redis, no free worker number, another epoch
	}
	id, err := orders.Next(ctx) // asks nobody

	parts, _ := orders.Split(id)
	fmt.Println(err, id > 0, parts.Worker, time.Since(parts.Time).Abs() < time.Minute)

	typed, err := idgen.NewTyped[Order](orders) // of type idgen.TypedID[Order, idgen.ID]
	if err != nil {
		panic(err)
	}
	order, err := typed.Next(ctx)
	fmt.Println(err, order.String()[:4], order.Raw() > id)
	// Output:
	// <nil> true 0 true
	// <nil> ord_ true
}

// Reading an ID back takes no generator.
func ExampleSplitSnowflake() {
	opened := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	parts, err := idgen.SplitSnowflake(119_000_000_012_345_678, opened, idgen.DefaultWorkerBits)
	fmt.Println(parts.Time, parts.Worker, parts.Sequence, err)
	// Output:
	// 2026-11-25 09:03:30.916 +0000 UTC 30 334 <nil>
}
