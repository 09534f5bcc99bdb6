package locktest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// payments is what is to be tested: one payment per order at a time.
type payments struct{ guard *core.Guard }

func (p payments) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := p.guard.Run(r.Context(), "order:"+r.PathValue("id"), func(ctx context.Context) error {
		lock, _ := core.FromContext(ctx)
		_, err := fmt.Fprintf(w, "paid, fenced by %d", lock.Token())
		return err
	})
	if d, ok := errors.AsType[*core.Denial](err); ok {
		w.Header().Set("Retry-After", fmt.Sprint(int(d.RetryAfter.Seconds())))
		http.Error(w, string(d.Reason), http.StatusConflict)
	}
}

// The test of a handler that locks: give it a Fake, hold the key, let it go.
func Example() {
	locks := locktest.New()
	guard, err := core.NewGuard(locks, core.Wait(0))
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST /orders/{id}/pay", payments{guard})
	pay := func() {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("POST", "/orders/7/pay", nil))
		fmt.Printf("%d %q, retry after %q\n", w.Code, w.Body, w.Header().Get("Retry-After"))
	}

	release := locks.Hold("order:7", core.TTL(3*time.Second))
	pay()
	release()
	pay()
	fmt.Println("held afterwards:", locks.Held("order:7"))

	// Output:
	// 409 "LOCK_HELD\n", retry after "3"
	// 200 "paid, fenced by 2", retry after ""
	// held afterwards: false
}

// A job must notice that it has lost its lock and stop.
func ExampleFake_Lose() {
	locks := locktest.New()
	guard, err := core.NewGuard(locks)
	if err != nil {
		panic(err)
	}
	err = guard.Run(context.Background(), "nightly-report", func(ctx context.Context) error {
		locks.Lose("nightly-report")
		<-ctx.Done() // the job's next step would see this
		return context.Cause(ctx)
	})
	fmt.Println(core.Denied(err).Reason, errors.Is(err, core.ErrLost))
	// Output: LOCK_LOST true
}

// Fail open or closed: what becomes of a request while Redis is down.
func ExampleFake_FailBackend() {
	locks := locktest.New()
	locks.FailBackend(errors.New("connection refused"))
	for _, policy := range []core.BackendErrorPolicy{core.FailClosed, core.FailOpen} {
		guard, err := core.NewGuard(locks, core.OnBackendError(policy))
		if err != nil {
			panic(err)
		}
		err = guard.Run(context.Background(), "order:7", func(ctx context.Context) error {
			_, locked := core.FromContext(ctx)
			fmt.Println("ran, locked:", locked)
			return nil
		})
		if err != nil {
			fmt.Println("denied:", core.Denied(err).Reason)
		}
	}
	// Output:
	// denied: LOCK_BACKEND_UNAVAILABLE
	// ran, locked: false
}

// Two requests for one order, in a known order: the second waits for the first.
func ExampleFake_AwaitWaiting() {
	ctx := context.Background()
	locks := locktest.New()
	first, err := locks.Acquire(ctx, "order:7")
	if err != nil {
		panic(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		second, err := locks.Acquire(ctx, "order:7")
		if err != nil {
			panic(err)
		}
		fmt.Println("second, handed over:", second.Info().Handoff)
		_ = second.Release(ctx)
	}()
	if err := locks.AwaitWaiting(ctx, "order:7", 1); err != nil {
		panic(err)
	}
	fmt.Println("first is done")
	_ = first.Release(ctx)
	<-done
	// Output:
	// first is done
	// second, handed over: local
}
