package grpcmw_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
)

// denials counts what OnDeny hears of, by reason.
type denials struct {
	mu    sync.Mutex
	count map[core.Reason]int
	told  chan struct{}
}

func newDenials() *denials {
	return &denials{count: map[core.Reason]int{}, told: make(chan struct{}, 1000)}
}

func (d *denials) hear(_ context.Context, denial *core.Denial) error {
	d.mu.Lock()
	d.count[denial.Reason]++
	d.mu.Unlock()
	d.told <- struct{}{}
	return nil
}

// await returns what was counted once there are n.
func (d *denials) await(ctx context.Context, t *testing.T, n int) map[core.Reason]int {
	t.Helper()
	for i := range n {
		select {
		case <-d.told:
		case <-ctx.Done():
			t.Fatalf("%d denials, want %d", i, n)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count
}

// The client of a call whose deadline passes takes it back, and the word of it
// mostly overtakes the server's own timer.
func TestADeadlineThatPassesInLineIsToldAsSuch(t *testing.T) {
	t.Parallel()
	const unaryCalls, streams = 90, 20
	locker, err := core.New(locktest.StartMini(t).Client(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer locker.Close()
	heard := newDenials()
	m := mustNew(t, locker, grpcmw.OnDeny(heard.hear), grpcmw.MaxWaiters(200), grpcmw.MaxWaitingPerConn(0), grpcmw.Wait(time.Minute),
		grpcmw.For(unary, grpcmw.KeyOf(orderOf)), grpcmw.For(bidiStream, grpcmw.KeyTemplate("stream:{metadata.x-order}")))
	in, done := make(chan struct{}, 2), make(chan struct{})
	client := serve(t, m, &handlers{
		unary: func(context.Context, *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
			in <- struct{}{}
			<-done
			return &testpb.SimpleResponse{}, nil
		},
		bidi: func(testpb.TestService_FullDuplexCallServer) error {
			in <- struct{}{}
			<-done
			return nil
		},
	})
	ctx := timeout(t)
	var holders, calls sync.WaitGroup
	defer holders.Wait()
	defer close(done)
	stream := func(ctx context.Context) error {
		s, err := client.FullDuplexCall(withOrder(ctx, "7"))
		if err == nil {
			_, err = s.Recv()
		}
		return err
	}
	holders.Go(func() { _, _ = client.UnaryCall(ctx, order("7")) })
	holders.Go(func() { _ = stream(ctx) })
	<-in
	<-in
	call := func(d time.Duration, do func(context.Context) error) {
		calls.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, d)
			defer cancel()
			if err := do(ctx); status.Code(err) != codes.DeadlineExceeded {
				t.Errorf("the client is told %v", err)
			}
		})
	}
	// One after the other: the server counts a call's time from when it has arrived, and
	// a crowd takes its time to arrive.
	inLine := func(n int) { until(t, func() bool { return locker.Snapshot().Requests >= n }) }
	for i := range unaryCalls {
		call(5*time.Second, func(ctx context.Context) error {
			_, err := client.UnaryCall(ctx, order("7"))
			return err
		})
		inLine(i + 1)
	}
	for i := range streams {
		call(5*time.Second, stream)
		inLine(unaryCalls + i + 1)
	}
	calls.Wait()
	if got := heard.await(ctx, t, unaryCalls+streams); got[core.ReasonDeadline] != unaryCalls+streams {
		t.Errorf("%v, want %d times %s", got, unaryCalls+streams, core.ReasonDeadline)
	}
}

// One who hangs up has no deadline to blame.
func TestACallThatIsTakenBackWellBeforeItsDeadlineIsCancelled(t *testing.T) {
	fake := locktest.New()
	defer fake.Hold(unaryKey)()
	heard := newDenials()
	client := serve(t, mustNew(t, fake, grpcmw.OnDeny(heard.hear), grpcmw.For(unary, grpcmw.KeyOf(orderOf))), &handlers{unary: ok})
	ctx, cancel := context.WithCancel(timeout(t))
	go func() {
		_ = fake.AwaitWaiting(ctx, unaryKey, 1)
		cancel()
	}()
	if _, err := client.UnaryCall(ctx, order("7")); status.Code(err) != codes.Canceled {
		t.Error(err)
	}
	if got := heard.await(timeout(t), t, 1); got[core.ReasonCanceled] != 1 {
		t.Error(got)
	}
}

// A key may have to be looked up, and the call's deadline passes meanwhile.
func TestADeadlineThatPassesWhileAKeyIsLookedUp(t *testing.T) {
	heard := newDenials()
	m := mustNew(t, locktest.New(), grpcmw.OnDeny(heard.hear), grpcmw.For(unary, grpcmw.KeyFunc(func(ctx context.Context, _ any) (string, error) {
		<-ctx.Done()
		return "", errors.New("the look-up was broken off")
	})))
	client := serve(t, m, &handlers{unary: ok})
	const calls = 20
	var all sync.WaitGroup
	for range calls {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(timeout(t), 300*time.Millisecond)
			defer cancel()
			_, _ = client.UnaryCall(ctx, order("7"))
		})
	}
	all.Wait()
	if got := heard.await(timeout(t), t, calls); got[core.ReasonDeadline] != calls {
		t.Error(got)
	}
}

// A handler that uses its lock without looking at the bool works where there is
// none, and can tell.
func TestAHandlerWithoutItsLockFindsTokenZero(t *testing.T) {
	down := locktest.New()
	down.FailBackend(io.EOF)
	busy := locktest.New()
	defer busy.Hold(unaryKey)()
	for name, m := range map[string]*grpcmw.Middleware{
		"Shadow":     mustNew(t, busy, grpcmw.Shadow(), grpcmw.For(unary, grpcmw.KeyOf(orderOf))),
		"FailOpen":   mustNew(t, down, grpcmw.OnBackendError(core.FailOpen), grpcmw.For(unary, grpcmw.KeyOf(orderOf))),
		"Skip":       mustNew(t, busy, grpcmw.OnMissing(grpcmw.Skip), grpcmw.For(unary, grpcmw.KeyTemplate("stream:{metadata.x-order}"))),
		"not locked": mustNew(t, busy, grpcmw.For(bidiStream, grpcmw.KeyTemplate("stream:{metadata.x-order}"))),
	} {
		t.Run(name, func(t *testing.T) {
			var token uint64
			client := serve(t, m, &handlers{unary: func(ctx context.Context, _ *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
				lock, _ := core.FromContext(ctx)
				token = lock.Token()
				return &testpb.SimpleResponse{}, lock.Release(ctx)
			}})
			_, err := client.UnaryCall(timeout(t), order("7"), grpc.WaitForReady(true))
			if token != 0 || err == nil || status.Convert(err).Message() != core.ErrNotHeld.Error() {
				t.Errorf("token %d, %v", token, err)
			}
		})
	}
}
