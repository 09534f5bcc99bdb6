package backend_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// delay is a hook around each script call of a client: it takes its time before
// the call, and counts.
type delay struct {
	before time.Duration

	fail error // instead of the call

	mu        sync.Mutex
	starts    []time.Time // when each call would have been sent
	groups    []int       // how many operations each had
	now, most int         // under way
}

func (d *delay) set(before time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.before = before
}

var _ redis.Hook = (*delay)(nil)

func (d *delay) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (d *delay) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (d *delay) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() != "evalsha" {
			return next(ctx, cmd)
		}
		d.mu.Lock()
		d.starts = append(d.starts, time.Now())
		d.groups = append(d.groups, cmd.Args()[2].(int)/3)
		before := d.before
		d.now++
		d.most = max(d.most, d.now)
		d.mu.Unlock()
		time.Sleep(before) // a bubble's
		err := d.fail
		if err == nil {
			err = next(ctx, cmd)
		}
		d.mu.Lock()
		d.now--
		d.mu.Unlock()
		return err
	}
}

// inBubble runs a test on a backend in simulated time, whose every call takes a
// second before it is sent, and of which limit may be under way.
func inBubble(t *testing.T, limit int, test func(t *testing.T, be *backend.Backend, d *delay)) {
	synctest.Test(t, func(t *testing.T) {
		mini := locktest.StartMini(t)
		rdb := mini.Client(&redis.Options{PoolSize: limit})
		d := &delay{before: time.Second}
		// Else the first calls are two: the script is not known.
		warm := backend.New(rdb, prefix)
		answer := make(chan backend.Answer)
		warm.Do(backend.Cancel(warm.Names("k"), acquirer()), func(a backend.Answer) { answer <- a })
		if a := <-answer; a.Err != nil {
			t.Fatal(a.Err)
		}
		closeBackend(t, warm)
		rdb.AddHook(d)
		test(t, backend.New(rdb, prefix), d)
	})
}

func acquirer() backend.Entry {
	return backend.MakeEntry(backend.MakeID(backend.NewProcess(), 1), ttl, 1, "")
}

// ask has a backend carry n operations out, on keys of their own, and returns where
// their answers arrive.
func ask(be *backend.Backend, n int) chan backend.Answer {
	answers := make(chan backend.Answer, n)
	for range n {
		op := backend.Acquire(be.Names(string(backend.NewProcess())), acquirer(), true, manyMay)
		be.Do(op, func(a backend.Answer) { answers <- a })
	}
	return answers
}

func TestWhatIsPendingTravelsTogether(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, be *backend.Backend, d *delay) {
		d.before = time.Millisecond // answered before it is slow
		start := time.Now()
		lone := ask(be, 1)
		synctest.Wait() // it is under way
		answers := ask(be, 64+3)
		if waited := time.Since(start); waited != 0 {
			t.Errorf("Do took %v", waited)
		}
		a := <-lone
		sent := [3]int{1}
		if a.Err != nil || !a.Sent.Equal(start) {
			t.Errorf("%+v", a)
		}
		for range cap(answers) {
			a := <-answers
			if a.Err != nil || a.Reply.Status != backend.Granted {
				t.Fatalf("%+v", a)
			}
			sent[a.Sent.Sub(start)/time.Millisecond]++
		}
		// The first found nobody to wait for; then as many as may travel together.
		if sent != [3]int{1, 64, 3} || !slices.Equal(d.groups, sent[:]) {
			t.Errorf("trips of %v, by the answers %v", d.groups, sent)
		}
		closeBackend(t, be)
	})
}

func TestFewFlightsAreUnderWayWhileRedisAnswers(t *testing.T) {
	inBubble(t, 64, func(t *testing.T, be *backend.Backend, d *delay) {
		defer closeBackend(t, be)
		trips, _ := be.Limits()
		d.before = time.Millisecond
		for range 20 {
			ask(be, 1)
			synctest.Wait()
		}
		time.Sleep(time.Second)
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.most != trips || len(d.groups) != trips+1 {
			t.Errorf("%d trips at once, %v in all; want %d at once, and one more", d.most, d.groups, trips)
		}
	})
}

// A flight that hangs must not keep the others from going: its connection may be
// dead. But there is an end to it.
func TestFlightThatIsSlowGivesItsPlaceToAnother(t *testing.T) {
	const limit = 5
	inBubble(t, limit, func(t *testing.T, be *backend.Backend, d *delay) {
		trips, _ := be.Limits()
		d.set(time.Hour)
		for range trips {
			ask(be, 1)
			synctest.Wait()
		}
		start := time.Now()
		d.set(time.Second) // only those hang
		answers := ask(be, 3)
		for range cap(answers) {
			a := <-answers
			if waited := a.Sent.Sub(start); waited <= 0 || waited > 100*time.Millisecond {
				t.Errorf("sent after %v", waited)
			}
		}
		d.set(time.Hour)
		for range 10 {
			ask(be, 1)
			time.Sleep(time.Second)
		}
		d.mu.Lock()
		if d.most != limit {
			t.Errorf("%d at once, want %d", d.most, limit)
		}
		d.mu.Unlock()
		time.Sleep(3 * time.Hour) // until all have come back
		closeBackend(t, be)
	})
}

func TestFlightThatFailsIsTheAnswerToEachOfItsOperations(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, be *backend.Backend, d *delay) {
		d.before, d.fail = time.Millisecond, io.ErrUnexpectedEOF
		answers := ask(be, 5)
		for range cap(answers) {
			if a := <-answers; !errors.Is(a.Err, d.fail) {
				t.Errorf("%+v", a)
			}
		}
		closeBackend(t, be)
	})
}

// A lease's validity counts from Sent: it must be before the request has left,
// however long the client takes to send it.
func TestSentIsBeforeTheRequestLeaves(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, be *backend.Backend, d *delay) {
		time.Sleep(time.Hour)
		start := time.Now()
		answers := make(chan backend.Answer, 1)
		be.Do(backend.Acquire(be.Names("k"), acquirer(), true, manyMay), func(a backend.Answer) { answers <- a })
		a := <-answers
		if !a.Sent.Equal(start) || time.Since(start) != time.Second {
			t.Errorf("sent after %v, answered after %v; want 0 and 1s", a.Sent.Sub(start), time.Since(start))
		}
		if a.Sent.After(d.starts[0]) {
			t.Error("sent after the client was called")
		}
		closeBackend(t, be)
	})
}

func TestLimitIsThePoolsButNeverMoreThan64(t *testing.T) {
	mini := locktest.StartMini(t)
	for pool, want := range map[int]int{1: 1, 63: 63, 64: 64, 1000: 64, 0: min(64, 10*runtime.GOMAXPROCS(0))} {
		be := backend.New(mini.Client(&redis.Options{PoolSize: pool}), prefix)
		if trips, got := be.Limits(); got != want || trips > got || trips < 1 {
			t.Errorf("a pool of %d: %d calls at once, %d with slow ones, want %d", pool, trips, got, want)
		}
		closeBackend(t, be)
	}
}

func TestWhatIsPendingBeforeCloseIsStillDone(t *testing.T) {
	const limit, ops = 2, 7
	inBubble(t, limit, func(t *testing.T, be *backend.Backend, d *delay) {
		start := time.Now()
		answers := make(chan backend.Answer, ops)
		e := acquirer()
		for range ops {
			be.Do(backend.Acquire(be.Names("k"), e, true, manyMay), func(a backend.Answer) { answers <- a })
			synctest.Wait()
		}
		closeBackend(t, be)
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("Close took %v, want the 2 rounds of a second", took)
		}
		if len(answers) != ops {
			t.Fatalf("%d answers when Close returned, want %d", len(answers), ops)
		}
		for range ops {
			if a := <-answers; a.Err != nil || a.Reply.Status != backend.Granted {
				t.Errorf("%+v", a)
			}
		}
	})
}

func TestClosedBackendSaysSo(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, be *backend.Backend, d *delay) {
		closeBackend(t, be)
		answers := make(chan backend.Answer) // nobody receives yet: Do must not wait
		be.Do(backend.Cancel(be.Names("k"), acquirer()), func(a backend.Answer) { answers <- a })
		if a := <-answers; !errors.Is(a.Err, backend.ErrClosed) {
			t.Errorf("%+v", a)
		}
		if len(d.starts) != 0 {
			t.Error("it was sent")
		}
		closeBackend(t, be) // again
	})
}

func TestBackendThatIsClosingTakesNothingMore(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, be *backend.Backend, d *delay) {
		start := time.Now()
		first, second := make(chan backend.Answer, 1), make(chan backend.Answer, 1)
		be.Do(backend.Acquire(be.Names("k"), acquirer(), true, manyMay), func(a backend.Answer) { first <- a })
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			closeBackend(t, be)
		}()
		synctest.Wait() // it waits for the first
		be.Do(backend.Acquire(be.Names("k"), acquirer(), true, manyMay), func(a backend.Answer) { second <- a })
		if a := <-second; !errors.Is(a.Err, backend.ErrClosed) || time.Since(start) != 0 {
			t.Errorf("%+v after %v", a, time.Since(start))
		}
		<-closed
		if a := <-first; a.Err != nil || a.Reply.Status != backend.Granted {
			t.Errorf("%+v", a)
		}
	})
}

func TestCloseGivesUpWithItsContext(t *testing.T) {
	const ops = 5
	inBubble(t, 1, func(t *testing.T, be *backend.Backend, d *delay) {
		d.before = time.Hour // Redis hangs
		start := time.Now()
		answers := make(chan backend.Answer, ops)
		for range ops {
			be.Do(backend.Acquire(be.Names("k"), acquirer(), true, manyMay), func(a backend.Answer) { answers <- a })
			synctest.Wait() // the first is under way
		}
		cause := errors.New("no patience")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, cause)
		defer cancel()
		if err := be.Close(ctx); !errors.Is(err, cause) || time.Since(start) != time.Minute {
			t.Errorf("Close: %v after %v, want %v after 1m", err, time.Since(start), cause)
		}
		// Each is answered, and what was not sent never is.
		closed := 0
		for range ops {
			if a := <-answers; errors.Is(a.Err, backend.ErrClosed) {
				closed++
			}
		}
		if closed != ops-1 || len(d.starts) != 1 {
			t.Errorf("%d of %d were not sent, %d calls", closed, ops, len(d.starts))
		}
	})
}

// An operation may ask for the next from its own answer.
func TestDoFromAnAnswer(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, be *backend.Backend, d *delay) {
		e, done := acquirer(), make(chan backend.Answer)
		be.Do(backend.Acquire(be.Names("k"), e, true, manyMay), func(a backend.Answer) {
			be.Do(backend.Release(be.Names("k"), e.ID(), a.Reply.Tokens.First, a.Reply.Tokens.Last, ""), func(a backend.Answer) { done <- a })
		})
		if a := <-done; a.Err != nil || a.Reply.Status != backend.Released {
			t.Errorf("%+v", a)
		}
		closeBackend(t, be)
	})
}

func TestDoReturnsWhileRedisHangs(t *testing.T) {
	srv := locktest.StartRedis(t)
	rdb := srv.Client(&redis.Options{PoolSize: 2, MaxRetries: -1})
	be := backend.New(rdb, prefix)
	const ops = 500
	answers := make(chan backend.Answer, ops)
	e := acquirer()
	srv.Stop()
	called := make(chan struct{})
	go func() {
		defer close(called)
		for range ops {
			be.Do(backend.Acquire(be.Names("k"), e, true, manyMay), func(a backend.Answer) { answers <- a })
		}
	}()
	receive(t, called)
	if n := len(answers); n != 0 {
		t.Errorf("%d answers from a server that stands still", n)
	}
	srv.Continue()
	for range ops {
		if a := receive(t, answers); a.Err != nil {
			t.Error(a.Err)
		}
	}
	closeBackend(t, be)
}

func TestCloseReturnsWhileRedisHangs(t *testing.T) {
	srv := locktest.StartRedis(t)
	reads := make(chan struct{}, 1000)
	be := backend.New(srv.Client(&redis.Options{
		PoolSize: 1, MaxRetries: -1, ReadTimeout: 2 * patience, Dialer: dialReader(reads),
	}), prefix)
	answers := make(chan backend.Answer, 2)
	srv.Stop()
	for range 2 {
		be.Do(backend.Acquire(be.Names("k"), acquirer(), true, manyMay), func(a backend.Answer) { answers <- a })
	}
	receive(t, reads) // the first is stuck in the client
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	closed := make(chan error)
	go func() { closed <- be.Close(ctx) }()
	if err := receive(t, closed); !errors.Is(err, context.Canceled) {
		t.Errorf("Close: %v", err)
	}
	srv.Continue()
	receive(t, answers)
	receive(t, answers)
}
