package remote_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/remote"
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

// loneRoom runs a test on a room in simulated time whose client heeds deadlines,
// and which has been answered before.
func loneRoom(t *testing.T, test func(t *testing.T, room *remote.Room, w *way)) {
	synctest.Test(t, func(t *testing.T) {
		rdb := locktest.StartMini(t).Client(&redis.Options{ContextTimeoutEnabled: true, MaxRetries: -1})
		w := &way{}
		rdb.AddHook(w)
		room := remote.NewRoom(rdb, prefix)
		if a := <-ask(room, 1); a.Err != nil {
			t.Fatal(a.Err)
		}
		synctest.Wait()
		test(t, room, w)
		closeRoom(t, room)
	})
}

// start begins a lone trip with an acquire, nil if it is to be none; its answer
// arrives at the channel.
func start(room *remote.Room, key string) (*remote.Lone, chan remote.Answer) {
	answer := make(chan remote.Answer, 1)
	op := remote.Acquire(room.Names(key), acquirer(), true, manyMay)
	lone, _ := room.Begin(op, func(a remote.Answer) { answer <- a })
	return lone, answer
}

func TestALoneTripIsAnsweredByItsCaller(t *testing.T) {
	loneRoom(t, func(t *testing.T, room *remote.Room, w *way) {
		sent := time.Now()
		lone, answer := start(room, "k")
		if lone == nil {
			t.Fatal("no lone trip")
		}
		time.Sleep(time.Millisecond)
		lone.Travel()
		select {
		case a := <-answer:
			if a.Err != nil || a.Reply.Status != remote.Granted || a.Repeated || !a.Sent.Equal(sent) {
				t.Errorf("%+v", a)
			}
		default:
			t.Error("not answered when Travel returned")
		}
	})
}

func TestThereIsNoLoneTripBesideAnother(t *testing.T) {
	loneRoom(t, func(t *testing.T, room *remote.Room, w *way) {
		first, _ := start(room, "k")
		second, answer := start(room, "k2")
		if first == nil || second != nil {
			t.Fatalf("%v, %v; want one", first, second)
		}
		if a := <-answer; a.Err != nil { // the other way, and at once
			t.Error(a.Err)
		}
		first.Travel()
		synctest.Wait()
		if third, _ := start(room, "k3"); third == nil {
			t.Error("none when all are back")
		} else {
			third.Travel()
		}
	})
}

// Where several went together, more will come.
func TestThereIsNoLoneTripInACrowd(t *testing.T) {
	loneRoom(t, func(t *testing.T, room *remote.Room, w *way) {
		w.via(func(_ context.Context, _ int, call func() error) error { time.Sleep(time.Millisecond); return call() })
		trips, _ := room.Limits()
		answers := ask(room, 10*trips)
		for range cap(answers) {
			<-answers
		}
		synctest.Wait()
		lone, answer := start(room, "k")
		if lone != nil {
			t.Fatal("a lone trip after one with several operations")
		}
		<-answer
		synctest.Wait()
		if lone, _ = start(room, "k"); lone == nil {
			t.Fatal("none after one with a single operation")
		}
		lone.Travel()
	})
}

func TestALoneTripThatFailsIsMadeAgainAndThatAnswerCounts(t *testing.T) {
	gone := errors.New("gone")
	for name, tt := range map[string]struct {
		first, second func(ctx context.Context, call func() error) error
		want          remote.Status
		err           error
	}{
		"fails at once": {
			first:  func(context.Context, func() error) error { return io.EOF },
			second: func(_ context.Context, call func() error) error { return call() },
			want:   remote.Granted,
		},
		"is silent": {
			first:  func(ctx context.Context, _ func() error) error { <-ctx.Done(); return ctx.Err() },
			second: func(_ context.Context, call func() error) error { return call() },
			want:   remote.Granted,
		},
		"fails twice": {
			first:  func(context.Context, func() error) error { return io.EOF },
			second: func(context.Context, func() error) error { return gone },
			err:    gone,
		},
	} {
		t.Run(name, func(t *testing.T) {
			loneRoom(t, func(t *testing.T, room *remote.Room, w *way) {
				sent := time.Now()
				lone, answer := start(room, "k")
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
				lone.Travel()
				if d := time.Since(sent); d > remote.LonePatience/3 {
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
func TestALoneTripThatTheServerRefusesIsNotMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mini := locktest.StartMini(t)
		room := remote.NewRoom(mini.Client(&redis.Options{ContextTimeoutEnabled: true, MaxRetries: -1}), prefix)
		<-ask(room, 1)
		synctest.Wait()
		mini.SetError("READONLY You can't write against a read only replica.")
		lone, answer := start(room, "k")
		lone.Travel()
		if a := <-answer; !redis.HasErrorPrefix(a.Err, "READONLY") || a.Repeated {
			t.Errorf("%+v", a)
		}
		mini.SetError("")
		if room.Down(room.Names("k")) != nil {
			t.Error("it counts as down")
		}
		closeRoom(t, room)
	})
}

// It may have been done: that the room was closed before the second attempt does
// not make it certain.
func TestALoneTripThatFailsInAClosedRoomIsAmbiguous(t *testing.T) {
	loneRoom(t, func(t *testing.T, room *remote.Room, w *way) {
		w.via(func(ctx context.Context, _ int, call func() error) error {
			_ = call()
			<-ctx.Done()
			return ctx.Err()
		})
		lone, answer := start(room, "k")
		traveled := make(chan struct{})
		go func() { defer close(traveled); lone.Travel() }()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = room.Close(ctx)
		<-traveled
		if a := <-answer; a.Err == nil || errors.Is(a.Err, remote.ErrRoomClosed) || !a.Repeated {
			t.Errorf("%+v, want an error that leaves it open", a)
		}
		if lone, answer := start(room, "k"); lone != nil {
			t.Error("a lone trip from a closed room")
		} else if a := <-answer; !errors.Is(a.Err, remote.ErrRoomClosed) {
			t.Errorf("%+v, want ErrRoomClosed", a)
		}
	})
}

func TestALoneTripDoesNotBeginWhenTheRoomHasClosed(t *testing.T) {
	loneRoom(t, func(t *testing.T, room *remote.Room, w *way) {
		closeRoom(t, room)
		if room.BeginAdmitted(remote.Acquire(room.Names("k"), acquirer(), true, manyMay)) != nil {
			t.Error("a lone trip")
		}
	})
}

func TestCloseWaitsForALoneTrip(t *testing.T) {
	loneRoom(t, func(t *testing.T, room *remote.Room, w *way) {
		w.via(func(_ context.Context, _ int, call func() error) error {
			time.Sleep(5 * time.Millisecond)
			return call()
		})
		begun := time.Now()
		lone, answer := start(room, "k")
		go lone.Travel()
		closeRoom(t, room)
		if d := time.Since(begun); d != 5*time.Millisecond {
			t.Errorf("Close took %v, want 5ms", d)
		}
		if a := <-answer; a.Err != nil {
			t.Errorf("%+v", a)
		}
	})
}
