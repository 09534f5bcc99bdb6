package core_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/keys"
)

// startRedis returns a client of a Redis for one example.
func startRedis() (rdb *redis.Client, stop func()) {
	srv, err := miniredis.Run()
	if err != nil {
		panic(err)
	}
	rdb = redis.NewClient(&redis.Options{Addr: srv.Addr()})
	return rdb, func() {
		rdb.Close()
		srv.Close()
	}
}

// store is a database that remembers the highest fencing token it has seen of
// each order, and refuses lower ones: in SQL, an UPDATE … WHERE fence < ?.
type store map[string]uint64

func (s store) pay(order string, token uint64) error {
	if token < s[order] {
		return fmt.Errorf("order %s: %w", order, core.ErrStale)
	}
	s[order] = token
	return nil
}

// A lock is taken, its token goes along with every write, and it is given back.
func Example() {
	rdb, stop := startRedis()
	defer stop()
	locker, err := core.New(rdb, core.WithMeta(core.Meta{Service: "shop"}))
	if err != nil {
		panic(err) // it lists everything that is wrong
	}
	defer locker.Close()
	db := store{}

	ctx := context.Background()
	lock, err := locker.Acquire(ctx, keys.Join("order", "42"), core.Wait(2*time.Second))
	if err != nil {
		panic(err)
	}
	defer lock.Release(ctx)
	ctx = lock.Context() // ends if the lock is lost
	if err := db.pay("42", lock.Token()); err != nil {
		panic(err)
	}
	fmt.Println("paid, waited:", lock.Info().Contended, "live:", ctx.Err() == nil)
	// Output: paid, waited: false live: true
}

// A consumer of a queue is one more transport: what the middlewares promise, in
// the words of the queue.
func ExampleGuard_Run() {
	rdb, stop := startRedis()
	defer stop()
	locker, err := core.New(rdb)
	if err != nil {
		panic(err)
	}
	defer locker.Close()

	guard, err := core.NewGuard(locker, core.Name("payments"), core.Wait(0), core.MaxHold(time.Minute))
	if err != nil {
		panic(err)
	}
	pay := func(_ context.Context, order string, token uint64) error { // the store refuses lower tokens
		switch order {
		case "44":
			return errors.New("card declined")
		case "45":
			return fmt.Errorf("token %d: %w", token, core.ErrStale)
		}
		return nil
	}
	consume := func(ctx context.Context, order string) string {
		err := guard.Run(ctx, keys.Join("order", order), func(ctx context.Context) error {
			lock, _ := core.FromContext(ctx)
			return pay(ctx, order, lock.Token())
		}, core.WithMeta(core.Meta{RequestID: "message-" + order}))
		denial := core.Denied(err)
		switch {
		case err == nil:
			return "ack"
		case denial == nil: // it ran, and failed by itself
			return "dead letter: " + err.Error()
		case denial.Reason.Ran(): // what it did may have taken effect
			return "look into it: " + string(denial.Reason)
		}
		switch denial.Reason { // it did not run
		case core.ReasonKeyMissing, core.ReasonKeyInvalid, core.ReasonSelfDeadlock, core.ReasonInternal:
			return "dead letter: " + denial.Error() // and never will: the message or the program is at fault
		}
		return "put back: " + string(denial.Reason) // for denial.RetryAfter, or a second if that is zero
	}

	ctx := context.Background()
	fmt.Println(consume(ctx, "42"))
	busy, err := locker.Acquire(ctx, keys.Join("order", "43"))
	if err != nil {
		panic(err)
	}
	fmt.Println(consume(ctx, "43"))
	if err := busy.Release(ctx); err != nil {
		panic(err)
	}
	fmt.Println(consume(ctx, "43"))
	fmt.Println(consume(ctx, "44"))
	fmt.Println(consume(ctx, "45"))
	// Output:
	// ack
	// put back: LOCK_HELD
	// ack
	// dead letter: card declined
	// look into it: LOCK_STALE
}

// Of all replicas, one runs the nightly job; the others go on.
func ExampleRedisLocker_TryAcquire() {
	rdb, stop := startRedis()
	defer stop()
	for _, replica := range []string{"a", "b"} {
		locker, err := core.New(rdb, core.WithMeta(core.Meta{Host: replica}))
		if err != nil {
			panic(err)
		}
		defer locker.Close()

		lock, err := locker.TryAcquire(context.Background(), "nightly-report")
		if errors.Is(err, core.ErrHeld) {
			ae, _ := errors.AsType[*core.AcquireError](err)
			fmt.Println(replica, "leaves it to", ae.Info.Blocker.Host)
			continue
		}
		if err != nil {
			panic(err)
		}
		defer lock.Release(context.Background())
		fmt.Println(replica, "runs it")
	}
	// Output:
	// a runs it
	// b leaves it to a
}

// A store that checks the fencing token is safe even from a holder that was
// paused for longer than its lease lasts.
func ExampleErrStale() {
	rdb, stop := startRedis()
	defer stop()
	locker, err := core.New(rdb)
	if err != nil {
		panic(err)
	}
	defer locker.Close()
	db := store{}

	ctx := context.Background()
	err = locker.Do(ctx, "order:42", func(ctx context.Context) error {
		lock, _ := core.FromContext(ctx)
		// The process is stopped here; its lease expires, another holder comes
		// and writes under a higher token.
		if err := db.pay("42", lock.Token()+1); err != nil {
			return err
		}
		// It wakes up, and has not noticed yet.
		return db.pay("42", lock.Token())
	})
	denial, _ := errors.AsType[*core.Denial](err)
	fmt.Println(denial.Reason)
	fmt.Println(errors.Is(err, core.ErrStale))
	// Output:
	// LOCK_STALE
	// true
}

// What FromContext finds is the lock of the innermost guard.
func ExampleFromContext() {
	rdb, stop := startRedis()
	defer stop()
	locker, err := core.New(rdb)
	if err != nil {
		panic(err)
	}
	defer locker.Close()

	handle := func(ctx context.Context) error {
		if lock, ok := core.FromContext(ctx); ok {
			fmt.Println("under", lock.Key(), "for", lock.Info().LeaseTTL)
		} else {
			fmt.Println("under no lock")
		}
		return nil
	}
	ctx := context.Background()
	_ = handle(ctx)
	if err := locker.Do(ctx, "order:42", handle, core.TTL(5*time.Second)); err != nil {
		panic(err)
	}
	// Output:
	// under no lock
	// under order:42 for 5s
}

// printer is an observer. It embeds NopObserver, so that it goes on compiling
// when methods are added.
type printer struct{ core.NopObserver }

func (printer) Acquired(_ context.Context, a core.Attempt, r core.AcquireResult) {
	fmt.Printf("%s: acquired, contended %v, error %q\n", a.Name, r.Info.Contended, core.ErrorType(r.Err))
}

func (printer) Released(_ context.Context, a core.Attempt, r core.HoldResult) {
	fmt.Printf("%s: released, error %q\n", a.Name, core.ErrorType(r.Err))
}

func ExampleObserve() {
	rdb, stop := startRedis()
	defer stop()
	plain, err := core.New(rdb)
	if err != nil {
		panic(err)
	}
	defer plain.Close()

	locker := core.Observe(plain, printer{}) // or core.WithObserver(printer{})
	ctx := context.Background()
	lock, err := locker.Acquire(ctx, "order:42", core.Name("PUT /orders/{id}"))
	if err != nil {
		panic(err)
	}
	if _, err := locker.Acquire(ctx, "order:42", core.Wait(0), core.Name("PUT /orders/{id}")); err == nil {
		panic("granted twice")
	}
	if err := lock.Release(ctx); err != nil {
		panic(err)
	}
	// Output:
	// PUT /orders/{id}: acquired, contended false, error ""
	// PUT /orders/{id}: acquired, contended true, error "held"
	// PUT /orders/{id}: released, error ""
}

// Shutdown lets holders finish, for as long as there is time.
func ExampleRedisLocker_Shutdown() {
	rdb, stop := startRedis()
	defer stop() // after the Locker has ended: the client stays yours
	locker, err := core.New(rdb)
	if err != nil {
		panic(err)
	}

	background := context.Background()
	lock, err := locker.Acquire(background, "order:42")
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(background, 50*time.Millisecond)
	defer cancel()
	if err := locker.Shutdown(ctx); err != nil {
		fmt.Println(err)
	}
	cause := context.Cause(lock.Context())
	fmt.Println(errors.Is(cause, core.ErrLost), errors.Is(cause, core.ErrClosed))
	_, err = locker.Acquire(background, "order:42")
	fmt.Println(errors.Is(err, core.ErrClosed))
	// Output:
	// core: holders cut off: 1: context deadline exceeded
	// true true
	// true
}

// A service is not ready before its Redis is fit for locks. What has to be
// mended is told from what may pass.
func ExampleRedisLocker_Check() {
	rdb, stop := startRedis()
	defer stop()
	locker, err := core.New(rdb)
	if err != nil {
		panic(err)
	}
	defer locker.Close()

	ctx := context.Background()
	switch err := locker.Check(ctx); {
	case errors.Is(err, core.ErrUnfit):
		panic(err) // lists what is wrong on which server, and the commands that mend it
	case err != nil:
		fmt.Println("not ready yet:", err) // Redis could not be asked: try again
	default:
		fmt.Println("ready")
	}
	// Output: ready
}
