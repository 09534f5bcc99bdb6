package grpcmw_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
)

// attempt is the context of a call's attempt as grpc's policies send it: with the
// call's metadata, and the number of the attempts before.
func attempt(ctx context.Context, id string, previous int) context.Context {
	if id != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, grpcmw.RequestIDKey, id)
	}
	if previous > 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, "grpc-previous-rpc-attempts", strconv.Itoa(previous))
	}
	return ctx
}

type anyCall = func(context.Context, testpb.TestServiceClient) error

// hedge makes a call as a hedgingPolicy without nonFatalStatusCodes does: an
// attempt at each of the clients, the later ones when it is time, until the first
// answer, which is the call's, and cancels the others.
func hedge(ctx context.Context, id string, due func(context.Context), call anyCall, clients ...testpb.TestServiceClient) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan error, len(clients))
	for n, c := range clients {
		go func() {
			if n > 0 {
				due(ctx)
			}
			answers <- call(attempt(ctx, id, n), c)
		}()
	}
	return <-answers
}

// hedged is a service that counts its handlers.
type hedged struct {
	// hold is how long a handler works.
	hold             func(context.Context)
	begun, cancelled atomic.Int32
	denied           atomic.Int32
}

// serve serves h at a process of its own: a Middleware.
func (h *hedged) serve(t *testing.T, locker core.Locker, opts ...grpcmw.Option) testpb.TestServiceClient {
	t.Helper()
	return serve(t, mustNew(t, locker, append(opts,
		grpcmw.For(unary, grpcmw.KeyOf(orderOf)), grpcmw.For(serverStream, grpcmw.KeyOf(streamOrderOf)),
		grpcmw.OnDeny(h.deny))...), h.handlers())
}

func (h *hedged) deny(context.Context, *core.Denial) error {
	h.denied.Add(1)
	return nil
}

func (h *hedged) handlers() *handlers {
	work := func(ctx context.Context) error {
		h.begun.Add(1)
		h.hold(ctx)
		if ctx.Err() != nil {
			h.cancelled.Add(1)
		}
		return ctx.Err()
	}
	methods := &handlers{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
		return &testpb.SimpleResponse{Username: "done"}, work(ctx)
	}}
	ofServer.handle(methods, func(s grpc.ServerStream) error {
		if err := work(s.Context()); err != nil {
			return err
		}
		return s.SendMsg(&testpb.StreamingOutputCallResponse{})
	})
	return methods
}

// holding is a handler's work that takes so long.
func holding(d time.Duration) func(context.Context) {
	return func(ctx context.Context) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
}

// watched is a Locker that counts what it has refused.
type watched struct {
	*locktest.Fake
	refused atomic.Int32
}

func (w *watched) Acquire(ctx context.Context, key string, opts ...core.AcquireOption) (core.Lock, error) {
	lock, err := w.Fake.Acquire(ctx, key, opts...)
	if err != nil {
		w.refused.Add(1)
	}
	return lock, err
}

const hedgedCalls = 20

type hedgedKind struct {
	name      string
	anonymous bool // the client sends no request ID
}

func (k hedgedKind) id(i int) string {
	if k.anonymous {
		return ""
	}
	return fmt.Sprint("call-", i)
}

func hedgedKinds() map[hedgedKind]anyCall {
	kinds := map[hedgedKind]anyCall{}
	for name, call := range retriedCalls {
		kinds[hedgedKind{name, false}] = call
		kinds[hedgedKind{name + " without an ID", true}] = call
	}
	return kinds
}

// Of a hedged call one handler begins, and its answer is the call's. In one process
// that needs no trust in the ID.
func TestOfAHedgedCallOneAttemptRuns(t *testing.T) {
	for name, c := range map[string]struct {
		opts     []grpcmw.Option
		hold     time.Duration
		parallel bool // all calls at once, with one key
	}{
		"not waiting":      {[]grpcmw.Option{grpcmw.Wait(0)}, 20 * time.Millisecond, false},
		"waiting":          {nil, 20 * time.Millisecond, false},
		"no work":          {nil, 0, false},
		"work of a delay":  {nil, 5 * time.Millisecond, false},
		"a short wait":     {[]grpcmw.Option{grpcmw.Wait(time.Millisecond)}, 20 * time.Millisecond, false},
		"no place in line": {[]grpcmw.Option{grpcmw.MaxWaiters(0)}, 20 * time.Millisecond, false},
		"others in line":   {[]grpcmw.Option{grpcmw.Wait(10 * time.Second)}, time.Millisecond, true},
	} {
		for kind, call := range hedgedKinds() {
			t.Run(name+", "+kind.name, func(t *testing.T) {
				t.Parallel()
				h, fake := &hedged{hold: holding(c.hold)}, locktest.New()
				// The first attempts come first, however long that takes them.
				arrived := func(n int) { until(t, func() bool { return int(h.begun.Load())+fake.Waiting("order:7") >= n }) }
				later := func(i int) func(context.Context) { return func(context.Context) { arrived(i + 1) } }
				if c.parallel {
					later = func(int) func(context.Context) { return func(context.Context) { arrived(hedgedCalls) } }
					h.hold = func(ctx context.Context) { arrived(hedgedCalls); holding(c.hold)(ctx) }
				}
				client := h.serve(t, fake, c.opts...)
				var calls sync.WaitGroup
				for i := range hedgedCalls {
					calls.Go(func() {
						if err := hedge(timeout(t), kind.id(i), later(i), call, client, client, client); err != nil {
							t.Errorf("call %d: %v", i, err)
						}
					})
					if !c.parallel {
						calls.Wait()
					}
				}
				calls.Wait()
				h.wantCalls(t, hedgedCalls)
			})
		}
	}
}

// The first attempt was sent first, and comes a little later.
func TestAFurtherAttemptThatOvertakesTheFirstWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		interceptor := mustNew(t, locktest.New(), grpcmw.Wait(0), grpcmw.For(unary, grpcmw.KeyOf(orderOf))).Unary()
		begun := 0
		call := func(ctx context.Context, previous string) error {
			ctx = metadata.NewIncomingContext(ctx, metadata.Pairs(grpcmw.RequestIDKey, "a", "grpc-previous-rpc-attempts", previous))
			_, err := interceptor(ctx, order("7"), &grpc.UnaryServerInfo{FullMethod: unary}, func(context.Context, any) (any, error) {
				begun++
				time.Sleep(time.Minute)
				return nil, nil
			})
			return err
		}
		ctx, cancel := context.WithCancel(t.Context())
		further := make(chan error)
		go func() { further <- call(ctx, "1") }()
		time.Sleep(40 * time.Millisecond)
		if err := call(t.Context(), "0"); err != nil || begun != 1 {
			t.Errorf("%v, %d handlers begun", err, begun)
		}
		time.Sleep(900 * time.Millisecond)
		cancel()
		if err := <-further; status.Code(err) != codes.Canceled || begun != 1 {
			t.Errorf("%v, %d handlers begun", err, begun)
		}
	})
}

// Between processes the lease has the ID of the first attempt, if it is trusted.
func TestOfACallThatIsHedgedAcrossProcessesOneAttemptRuns(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]grpcmw.Option{
		"not waiting":      {grpcmw.Wait(0)},
		"waiting":          nil,
		"a short wait":     {grpcmw.Wait(time.Millisecond)},
		"no place in line": {grpcmw.MaxWaiters(0)},
	} {
		for kind, call := range retriedCalls {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				locker := &watched{Fake: locktest.New()}
				h := &hedged{}
				// A handler works until the attempt at the other process has been there.
				h.hold = func(context.Context) {
					until(t, func() bool { return locker.refused.Load() >= h.begun.Load() || locker.Waiting("order:7") > 0 })
				}
				opts := append(opts, grpcmw.TrustRequestID())
				first, second := h.serve(t, locker, opts...), h.serve(t, locker, opts...)
				for i := range hedgedCalls {
					later := func(ctx context.Context) {
						until(t, func() bool { return h.begun.Load() > int32(i) || ctx.Err() != nil })
					}
					if err := hedge(timeout(t), fmt.Sprint("call-", i), later, call, first, second, first); err != nil {
						t.Errorf("call %d: %v", i, err)
					}
					// The attempt that waited in the other process is gone.
					until(t, func() bool { return locker.Waiting("order:7") == 0 && !locker.Held("order:7") })
				}
				h.wantCalls(t, hedgedCalls)
			})
		}
	}
}

func (h *hedged) wantCalls(t *testing.T, n int32) {
	t.Helper()
	if h.begun.Load() != n || h.cancelled.Load() != 0 {
		t.Errorf("%d handlers begun, %d cancelled", h.begun.Load(), h.cancelled.Load())
	}
}

// What its client does not cancel is no attempt of a call that was answered, whatever
// its metadata say: calls of one request may have one ID.
func TestAFurtherAttemptThatIsNotCancelledRuns(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		opts      []grpcmw.Option
		processes int
	}{
		"one process": {nil, 1}, "one process, not waiting": {[]grpcmw.Option{grpcmw.Wait(0)}, 1},
		"two processes": {nil, 2}, "two processes, not waiting": {[]grpcmw.Option{grpcmw.Wait(0)}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := locktest.New()
			h := &hedged{hold: holding(100 * time.Millisecond)}
			opts := append(c.opts, grpcmw.TrustRequestID())
			first := h.serve(t, fake, opts...)
			second := first
			if c.processes == 2 {
				second = h.serve(t, fake, opts...)
			}
			answers := make(chan error)
			go func() { answers <- callUnary(attempt(timeout(t), "a", 0), first) }()
			until(t, func() bool { return h.begun.Load() == 1 })
			go func() { answers <- callUnary(attempt(timeout(t), "a", 1), second) }()
			if err := <-answers; err != nil || h.begun.Load() != 1 {
				t.Errorf("the first to be answered: %v, %d handlers begun", err, h.begun.Load())
			}
			// Somebody else's, which may meet the further attempt as it looks for the lock.
			until(t, func() bool { return callUnary(timeout(t), first) == nil })
			if err := <-answers; err != nil || h.begun.Load() != 3 || h.cancelled.Load() > 0 {
				t.Errorf("%v, %d handlers begun, %d cancelled", err, h.begun.Load(), h.cancelled.Load())
			}
		})
	}
}

// One that lies about its attempts does not hold up others.
func TestACallIsNotHeldUpByWhoSendsItsID(t *testing.T) {
	t.Parallel()
	h := &hedged{hold: func(context.Context) {}}
	c := h.serve(t, locktest.New(), grpcmw.TrustRequestID(), grpcmw.Wait(0))
	for _, previous := range []int{1, 0, 1} {
		if err := callUnary(attempt(timeout(t), "a", previous), c); err != nil {
			t.Error(err)
		}
	}
	if h.begun.Load() != 3 {
		t.Errorf("%d handlers begun", h.begun.Load())
	}
}

// What is no attempt of a call that runs is a call like any other.
func TestWhatIsNoFurtherAttemptRuns(t *testing.T) {
	t.Run("another ID", func(t *testing.T) { wantBoth(t, attempt(timeout(t), "b", 1)) })
	t.Run("no further attempt", func(t *testing.T) { wantBoth(t, attempt(timeout(t), "a", 0)) })
	t.Run("no ID", func(t *testing.T) {
		wantBoth(t, metadata.AppendToOutgoingContext(timeout(t), "grpc-previous-rpc-attempts", "1"))
	})
	t.Run("two IDs", func(t *testing.T) { wantBoth(t, attempt(attempt(timeout(t), "a", 0), "a", 1)) })
	t.Run("no number", func(t *testing.T) {
		wantBoth(t, metadata.AppendToOutgoingContext(attempt(timeout(t), "a", 0), "grpc-previous-rpc-attempts", "-1"))
	})
	t.Run("after the first, by a retry policy", func(t *testing.T) {
		var attempts atomic.Int32
		c := serve(t, mustNew(t, locktest.New(), grpcmw.TrustRequestID(), grpcmw.Wait(0), grpcmw.For(unary, grpcmw.KeyOf(orderOf))),
			&handlers{unary: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
				if attempts.Add(1) < 3 {
					return nil, status.Error(codes.Unavailable, "not yet")
				}
				return &testpb.SimpleResponse{Username: "done"}, nil
			}}, retrying(time.Millisecond, "UNAVAILABLE"))
		if err := callUnary(attempt(timeout(t), "a", 0), c); err != nil || attempts.Load() != 3 {
			t.Errorf("%v after %d attempts", err, attempts.Load())
		}
	})
	t.Run("in a shadow", func(t *testing.T) {
		h := &hedged{hold: holding(50 * time.Millisecond)}
		c := h.serve(t, locktest.New(), grpcmw.Shadow())
		wantBothOf(t, h, c, attempt(timeout(t), "a", 1))
	})
}

// wantBoth wants a call that runs, with the ID a, and the one with ctx to be served.
func wantBoth(t *testing.T, ctx context.Context) {
	t.Helper()
	h := &hedged{hold: holding(50 * time.Millisecond)}
	wantBothOf(t, h, h.serve(t, locktest.New(), grpcmw.TrustRequestID()), ctx)
}

func wantBothOf(t *testing.T, h *hedged, c testpb.TestServiceClient, ctx context.Context) {
	t.Helper()
	first := make(chan error)
	go func() { first <- callUnary(attempt(timeout(t), "a", 0), c) }()
	until(t, func() bool { return h.begun.Load() == 1 })
	if err := errors.Join(callUnary(ctx, c), <-first); err != nil || h.begun.Load() != 2 {
		t.Errorf("%v, %d handlers begun", err, h.begun.Load())
	}
}

// The first attempt's client is gone, so that its answer is lost: a retry policy's
// next attempt takes its place.
func TestAFurtherAttemptRunsIfTheFirstWasNotAnswered(t *testing.T) {
	fake := locktest.New()
	release := fake.Hold("order:7")
	h := &hedged{hold: holding(10 * time.Millisecond)}
	c := h.serve(t, fake, grpcmw.Wait(10*time.Second))
	gone, leave := context.WithCancel(timeout(t))
	first := make(chan error)
	go func() { first <- callUnary(attempt(gone, "a", 0), c) }()
	if err := fake.AwaitWaiting(timeout(t), "order:7", 1); err != nil {
		t.Fatal(err)
	}
	second := make(chan error)
	go func() { second <- callUnary(attempt(timeout(t), "a", 1), c) }()
	leave()
	if err := <-first; status.Code(err) != codes.Canceled {
		t.Errorf("the first: %v", err)
	}
	until(t, func() bool { return h.denied.Load() == 1 })
	if err := fake.AwaitWaiting(timeout(t), "order:7", 1); err != nil {
		t.Fatal(err)
	}
	release()
	if err := <-second; err != nil || h.begun.Load() != 1 {
		t.Errorf("the second: %v, %d handlers begun", err, h.begun.Load())
	}
}

// Its wait ends with its client, and leaves nothing behind.
func TestAFurtherAttemptThatIsCancelledIsGone(t *testing.T) {
	t.Parallel()
	h := &hedged{hold: holding(time.Second)}
	c := h.serve(t, locktest.New())
	first := make(chan error)
	go func() { first <- callUnary(attempt(timeout(t), "a", 0), c) }()
	until(t, func() bool { return h.begun.Load() == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := callUnary(attempt(ctx, "a", 1), c); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("the further attempt: %v", err)
	}
	if err := <-first; err != nil || h.begun.Load() != 1 {
		t.Errorf("the first: %v, %d handlers begun", err, h.begun.Load())
	}
}

// until waits for what a test cannot be told of.
func until(t *testing.T, done func() bool) {
	t.Helper()
	for began := time.Now(); !done(); time.Sleep(time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Error("it does not happen")
			return
		}
	}
}

// The first attempt was not answered. Of two that waited for it, one runs.
func TestOfSeveralFurtherAttemptsOneTakesThePlaceOfTheFirst(t *testing.T) {
	t.Parallel()
	for kind, call := range hedgedKinds() {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			fake := locktest.New()
			release := fake.Hold("order:7")
			h := &hedged{hold: holding(10 * time.Millisecond)}
			c := h.serve(t, fake, grpcmw.Wait(10*time.Second))
			gone, leave := context.WithCancel(timeout(t))
			first := make(chan error)
			go func() { first <- call(attempt(gone, kind.id(0), 0), c) }()
			if err := fake.AwaitWaiting(timeout(t), "order:7", 1); err != nil {
				t.Fatal(err)
			}
			further, cancel := context.WithCancel(timeout(t))
			answers := make(chan error)
			for n := range 2 {
				go func() { answers <- call(attempt(further, kind.id(0), n+1), c) }()
			}
			// They come while the first is in line, and find it there 50 ms later.
			time.Sleep(200 * time.Millisecond)
			leave()
			<-first
			until(t, func() bool { return h.denied.Load() == 1 })
			if err := fake.AwaitWaiting(timeout(t), "order:7", 1); err != nil {
				t.Fatal(err)
			}
			release()
			if err := <-answers; err != nil {
				t.Errorf("the first to be answered: %v", err)
			}
			cancel()
			if err := <-answers; status.Code(err) != codes.Canceled {
				t.Errorf("the other: %v", err)
			}
			h.wantCalls(t, 1)
		})
	}
}

// The further attempt's wait in the other process began when somebody else held the
// lock, and ends when the first attempt does.
func TestAFurtherAttemptIsNotDeniedForWhoHeldTheLockBefore(t *testing.T) {
	t.Parallel()
	fake := locktest.New()
	release := fake.Hold("order:7")
	h := &hedged{}
	h.hold = func(ctx context.Context) {
		until(t, func() bool { return fake.Waiting("order:7") == 0 || ctx.Err() != nil })
		holding(500 * time.Millisecond)(ctx) // in which a denial would get to the client
	}
	first := h.serve(t, fake, grpcmw.TrustRequestID(), grpcmw.Wait(20*time.Second))
	second := h.serve(t, fake, grpcmw.TrustRequestID(), grpcmw.Wait(time.Second))
	inLine := func(ctx context.Context) { _ = fake.AwaitWaiting(ctx, "order:7", 1) }
	go func() {
		if err := fake.AwaitWaiting(t.Context(), "order:7", 2); err != nil {
			t.Error(err)
		}
		release()
	}()
	if err := hedge(timeout(t), "a", inLine, callUnary, first, second); err != nil {
		t.Error(err)
	}
	h.wantCalls(t, 1)
}

// One connection's further attempts, however many, do not take the place of others'.
func TestOneConnectionsFurtherAttemptsHurtNoOthers(t *testing.T) {
	t.Parallel()
	const lies = grpcmw.DefaultMaxWaitingPerConn + 10
	h := &hedged{}
	slow := make(chan struct{})
	h.hold = func(ctx context.Context) {
		if h.begun.Load() == 1 {
			<-slow
			return
		}
		holding(300 * time.Millisecond)(ctx)
	}
	m := mustNew(t, locktest.New(), grpcmw.Wait(0), grpcmw.OnDeny(h.deny), grpcmw.For(unary, grpcmw.KeyTemplate("order:{metadata.x-order}")))
	conn := serveAny(t, m.ServerOptions(), func(s *grpc.Server) { testpb.RegisterTestServiceServer(s, h.handlers()) })
	another, err := grpc.NewClient(conn.Target(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer another.Close()
	liar, honest := testpb.NewTestServiceClient(conn), testpb.NewTestServiceClient(another)
	order := func(nr string) context.Context { return withOrder(timeout(t), nr) }
	var all sync.WaitGroup
	all.Go(func() { _ = callUnary(attempt(order("slow"), "slow", 0), liar) })
	until(t, func() bool { return h.begun.Load() == 1 })
	ctx, cancel := context.WithCancel(order("slow"))
	for range lies {
		all.Go(func() { _ = callUnary(attempt(ctx, "slow", 1), liar) })
	}
	until(t, func() bool { return h.denied.Load() > 0 }) // those that are too many
	err = hedge(order("7"), "a", holding(100*time.Millisecond), callUnary, honest, honest)
	if err != nil || h.begun.Load() != 2 {
		t.Errorf("%v, %d handlers begun", err, h.begun.Load())
	}
	cancel()
	close(slow)
	all.Wait()
}

// A denial that the handler of a further attempt returns is its own.
func TestAFurtherAttemptsHandlerRunsOnce(t *testing.T) {
	t.Parallel()
	var begun atomic.Int32
	c := serve(t, mustNew(t, locktest.New(), grpcmw.TrustRequestID(), grpcmw.For(unary, grpcmw.KeyOf(orderOf))),
		&handlers{unary: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			begun.Add(1)
			return nil, &core.Denial{Reason: core.ReasonHeld, Holder: &core.Holder{Meta: core.Meta{RequestID: "a"}}}
		}})
	if err := callUnary(attempt(timeout(t), "a", 1), c); err == nil || begun.Load() != 1 {
		t.Errorf("%v, %d handlers begun", err, begun.Load())
	}
}

// behindItsFirst begins a call's first attempt, which works for so long, and a further
// one in another process, which is denied for it. It returns what becomes of that.
func behindItsFirst(t *testing.T, works time.Duration) (fake *watched, further <-chan error) {
	fake = &watched{Fake: locktest.New()}
	h := &hedged{hold: holding(works)}
	first := h.serve(t, fake, grpcmw.TrustRequestID(), grpcmw.Wait(0))
	second := h.serve(t, fake, grpcmw.TrustRequestID(), grpcmw.Wait(0))
	ctx := timeout(t)
	go func() { _ = callUnary(attempt(ctx, "a", 0), first) }()
	until(t, func() bool { return h.begun.Load() == 1 })
	answer := make(chan error, 1)
	go func() { answer <- callUnary(attempt(ctx, "a", 1), second) }()
	until(t, func() bool { return fake.refused.Load() == 1 })
	return fake, answer
}

// Somebody else has the lock by now. The first attempt's answer may be on its way.
func TestAFurtherAttemptIsNotDeniedRightAfterTheFirst(t *testing.T) {
	t.Parallel()
	fake, further := behindItsFirst(t, 100*time.Millisecond)
	if err := fake.AwaitFree(timeout(t), "order:7"); err != nil {
		t.Fatal(err)
	}
	release := fake.Hold("order:7")
	until(t, func() bool { return fake.refused.Load() == 2 })
	release()
	if err := <-further; err != nil { // as nobody has cancelled it
		t.Error(err)
	}
}

// That Redis is away is no answer about the lock: it is told as what it is.
func TestAFurtherAttemptTellsThatTheBackendIsAway(t *testing.T) {
	t.Parallel()
	fake, further := behindItsFirst(t, 5*time.Second)
	fake.FailBackend(errors.New("away"))
	if err := <-further; status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
}
