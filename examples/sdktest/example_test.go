package sdktest

import (
	"context"
	"fmt"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	lockotel "github.com/latchkey-go/latchkey/otel"
)

// A request finds the lock held, and its trace says whom to ask.
func Example_blockedBy() {
	spans := tracetest.NewSpanRecorder()
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	observer, err := lockotel.NewObserver(lockotel.WithTracerProvider(tracers))
	if err != nil {
		panic(err)
	}
	locker := core.Observe(locktest.New(), observer)
	tracer := tracers.Tracer("example")
	order := core.Name("POST /orders/{id}")

	first, _ := tracer.Start(context.Background(), "first request")
	second, _ := tracer.Start(context.Background(), "second request")
	lock, err := locker.Acquire(first, "order/42", order)
	if err != nil {
		panic(err)
	}
	_, err = locker.Acquire(second, "order/42", order, core.Wait(0))
	fmt.Println(err)
	if err := lock.Release(first); err != nil {
		panic(err)
	}

	ended := spans.Ended()
	for _, s := range ended {
		fmt.Println(s.Name())
		for _, l := range s.Links() {
			blocker := ended[0].SpanContext()
			fmt.Println("  blocked by the first acquire:", l.SpanContext.SpanID() == blocker.SpanID())
		}
	}
	// Output:
	// core: the key is held by another request (key "order/42")
	// acquire POST /orders/{id}
	// acquire POST /orders/{id}
	//   blocked by the first acquire: true
	// hold POST /orders/{id}
}
