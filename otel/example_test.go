package lockotel_test

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	lockotel "github.com/latchkey-go/latchkey/otel"
)

// Any Locker can be observed. Without options, spans and metrics go to the
// global providers, and nowhere as long as no SDK is installed.
func ExampleNewObserver() {
	observer, err := lockotel.NewObserver()
	if err != nil {
		panic(err)
	}
	locker := core.Observe(locktest.New(), observer)

	ctx := context.Background()
	lock, err := locker.Acquire(ctx, "order/42", core.Name("POST /orders/{id}"))
	if err != nil {
		panic(err)
	}
	fmt.Println("locked", lock.Key())
	if err := lock.Release(ctx); err != nil {
		panic(err)
	}
	// Output: locked order/42
}

// A service gives the observer to its Locker.
func ExampleNewObserver_service() {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379"})
	observer, err := lockotel.NewObserver() // or WithTracerProvider, WithMeterProvider
	if err != nil {
		panic(err)
	}
	locker, err := core.New(rdb, core.WithObserver(observer))
	if err != nil {
		panic(err)
	}
	defer locker.Close()
}
