package backend_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// way is a hook that decides what happens to each script call on its way.
type way struct {
	delay // for the hooks that do nothing

	mu sync.Mutex
	n  int
	do func(ctx context.Context, n int, call func() error) error
}

// via has f decide from now on, which is told how many calls have been made; nil
// lets them pass.
func (w *way) via(f func(ctx context.Context, n int, call func() error) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.do = f
}

// calls is how many have been decided on.
func (w *way) calls() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n
}

func (w *way) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		w.mu.Lock()
		do := w.do
		if cmd.Name() != "evalsha" || do == nil {
			w.mu.Unlock()
			return next(ctx, cmd)
		}
		w.n++
		n := w.n
		w.mu.Unlock()
		return do(ctx, n, func() error { return next(ctx, cmd) })
	}
}

// inlineOnlyBackend runs a test on a backend in simulated time whose client heeds deadlines,
// and which has been answered before.
func inlineOnlyBackend(t *testing.T, test func(t *testing.T, be *backend.Backend, w *way)) {
	synctest.Test(t, func(t *testing.T) {
		rdb := locktest.StartMini(t).Client(&redis.Options{ContextTimeoutEnabled: true, MaxRetries: -1})
		w := &way{}
		rdb.AddHook(w)
		be := backend.New(rdb, prefix)
		if a := <-ask(be, 1); a.Err != nil {
			t.Fatal(a.Err)
		}
		synctest.Wait()
		test(t, be, w)
		closeBackend(t, be)
	})
}

// start begins an inline call with an acquire, nil if it is to be none; its answer
// arrives at the channel.
func start(be *backend.Backend, key string) (*backend.InlineCall, chan backend.Answer) {
	answer := make(chan backend.Answer, 1)
	op := backend.Acquire(be.Names(key), acquirer(), true, manyMay)
	inline, _ := be.Inline(op, func(a backend.Answer) { answer <- a })
	return inline, answer
}

func TestAnInlineCallIsAnsweredByItsCaller(t *testing.T) {
	inlineOnlyBackend(t, func(t *testing.T, be *backend.Backend, w *way) {
		sent := time.Now()
		inline, answer := start(be, "k")
		if inline == nil {
			t.Fatal("no lone trip")
		}
		time.Sleep(time.Millisecond)
		inline.Run()
		select {
		case a := <-answer:
			if a.Err != nil || a.Reply.Status != backend.Granted || a.Repeated || !a.Sent.Equal(sent) {
				t.Errorf("%+v", a)
			}
		default:
			t.Error("not answered when Travel returned")
		}
	})
}

func TestThereIsNoInlineCallBesideAnother(t *testing.T) {
	inlineOnlyBackend(t, func(t *testing.T, be *backend.Backend, w *way) {
		first, _ := start(be, "k")
		second, answer := start(be, "k2")
		if first == nil || second != nil {
			t.Fatalf("%v, %v; want one", first, second)
		}
		if a := <-answer; a.Err != nil { // the other way, and at once
			t.Error(a.Err)
		}
		first.Run()
		synctest.Wait()
		if third, _ := start(be, "k3"); third == nil {
			t.Error("none when all are back")
		} else {
			third.Run()
		}
	})
}

// Where several went together, more will come.
func TestThereIsNoInlineCallInACrowd(t *testing.T) {
	inlineOnlyBackend(t, func(t *testing.T, be *backend.Backend, w *way) {
		w.via(func(_ context.Context, _ int, call func() error) error { time.Sleep(time.Millisecond); return call() })
		trips, _ := be.Limits()
		answers := ask(be, 10*trips)
		for range cap(answers) {
			<-answers
		}
		synctest.Wait()
		inline, answer := start(be, "k")
		if inline != nil {
			t.Fatal("a lone trip after one with several operations")
		}
		<-answer
		synctest.Wait()
		if inline, _ = start(be, "k"); inline == nil {
			t.Fatal("none after one with a single operation")
		}
		inline.Run()
	})
}

func TestAnInlineCallThatFailsIsMadeAgainAndThatAnswerCounts(t *testing.T) {
	gone := errors.New("gone")
	for name, tt := range map[string]struct {
		first, second func(ctx context.Context, call func() error) error
		want          backend.Status
		err           error
	}{
		"fails at once": {
			first:  func(context.Context, func() error) error { return io.EOF },
			second: func(_ context.Context, call func() error) error { return call() },
			want:   backend.Granted,
		},
		"is silent": {
			first:  func(ctx context.Context, _ func() error) error { <-ctx.Done(); return ctx.Err() },
			second: func(_ context.Context, call func() error) error { return call() },
			want:   backend.Granted,
		},
		"fails twice": {
			first:  func(context.Context, func() error) error { return io.EOF },
			second: func(context.Context, func() error) error { return gone },
			err:    gone,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inlineOnlyBackend(t, func(t *testing.T, be *backend.Backend, w *way) {
				sent := time.Now()
				inline, answer := start(be, "k")
				w.via(func(ctx context.Context, n int, call func() error) error {
					if n == 1 {
						if _, bounded := ctx.Deadline(); !bounded {
							t.Error("the lone trip has no deadline")
						}
						return tt.first(ctx, call)
					}
					if _, bounded := ctx.Deadline(); bounded {
						t.Error("the second trip has a deadline")
					}
					time.Sleep(5 * time.Second)
					return tt.second(ctx, call)
				})
				inline.Run()
				if d := time.Since(sent); d > backend.InlineBudget/3 {
					t.Errorf("Travel took %v", d)
				}
				a := <-answer
				if a.Reply.Status != tt.want || !errors.Is(a.Err, tt.err) || !a.Repeated || !a.Sent.Equal(sent) {
					t.Errorf("%+v", a)
				}
				if w.calls() != 2 {
					t.Errorf("%d calls", w.calls())
				}
			})
		})
	}
}

// An error of the server is an answer.
func TestAnInlineCallThatTheServerRefusesIsNotMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mini := locktest.StartMini(t)
		be := backend.New(mini.Client(&redis.Options{ContextTimeoutEnabled: true, MaxRetries: -1}), prefix)
		<-ask(be, 1)
		synctest.Wait()
		mini.SetError("READONLY You can't write against a read only replica.")
		inline, answer := start(be, "k")
		inline.Run()
		if a := <-answer; !redis.HasErrorPrefix(a.Err, "READONLY") || a.Repeated {
			t.Errorf("%+v", a)
		}
		mini.SetError("")
		if be.Down(be.Names("k")) != nil {
			t.Error("it counts as down")
		}
		closeBackend(t, be)
	})
}

// It may have been done: that the backend was closed before the second attempt does
// not make it certain.
func TestAnInlineCallThatFailsInAClosedBackendIsAmbiguous(t *testing.T) {
	inlineOnlyBackend(t, func(t *testing.T, be *backend.Backend, w *way) {
		w.via(func(ctx context.Context, _ int, call func() error) error {
			_ = call()
			<-ctx.Done()
			return ctx.Err()
		})
		inline, answer := start(be, "k")
		traveled := make(chan struct{})
		go func() { defer close(traveled); inline.Run() }()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = be.Close(ctx)
		<-traveled
		if a := <-answer; a.Err == nil || errors.Is(a.Err, backend.ErrClosed) || !a.Repeated {
			t.Errorf("%+v, want an error that leaves it open", a)
		}
		if inline, answer := start(be, "k"); inline != nil {
			t.Error("a lone trip from a closed room")
		} else if a := <-answer; !errors.Is(a.Err, backend.ErrClosed) {
			t.Errorf("%+v, want ErrClosed", a)
		}
	})
}

func TestAnInlineCallDoesNotBeginWhenTheBackendHasClosed(t *testing.T) {
	inlineOnlyBackend(t, func(t *testing.T, be *backend.Backend, w *way) {
		closeBackend(t, be)
		if be.BeginAdmitted(backend.Acquire(be.Names("k"), acquirer(), true, manyMay)) != nil {
			t.Error("a lone trip")
		}
	})
}

func TestCloseWaitsForAnInlineCall(t *testing.T) {
	inlineOnlyBackend(t, func(t *testing.T, be *backend.Backend, w *way) {
		w.via(func(_ context.Context, _ int, call func() error) error {
			time.Sleep(5 * time.Millisecond)
			return call()
		})
		begun := time.Now()
		inline, answer := start(be, "k")
		go inline.Run()
		closeBackend(t, be)
		if d := time.Since(begun); d != 5*time.Millisecond {
			t.Errorf("Close took %v, want 5ms", d)
		}
		if a := <-answer; a.Err != nil {
			t.Errorf("%+v", a)
		}
	})
}
