package backend_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// spoiler is a hook that has the first calls after spoil fail, once they are
// done or before.
type spoiler struct {
	calls, spoil int
	done         bool  // they are done before they fail
	err          error // and this is how
}

var _ redis.Hook = (*spoiler)(nil)

func (s *spoiler) DialHook(next redis.DialHook) redis.DialHook { return next }
func (s *spoiler) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (s *spoiler) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() != "evalsha" {
			return next(ctx, cmd)
		}
		s.calls++
		if s.spoil == 0 {
			return next(ctx, cmd)
		}
		s.spoil--
		if s.done {
			_ = next(ctx, cmd)
		}
		cmd.SetErr(s.err)
		return s.err
	}
}

// reply is an error that the server answers.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

// spoilt runs a test in simulated time on a backend whose way can be spoilt. Its
// script is known to the server.
func spoilt(t *testing.T, retries int, test func(t *testing.T, be *backend.Backend, s *spoiler)) {
	synctest.Test(t, func(t *testing.T) {
		rdb := locktest.StartMini(t).Client(&redis.Options{MaxRetries: retries})
		s := &spoiler{}
		rdb.AddHook(s)
		be := backend.New(rdb, prefix)
		answers := ask(be, 1)
		if a := <-answers; a.Err != nil {
			t.Fatal(a.Err)
		}
		s.calls = 0
		test(t, be, s)
		closeBackend(t, be)
	})
}

// do carries one operation out.
func do(be *backend.Backend, op backend.Op) backend.Answer {
	answers := make(chan backend.Answer, 1)
	be.Do(op, func(a backend.Answer) { answers <- a })
	return <-answers
}

// The client would do so, too, but would not tell: what the second answer says is
// not all that happened.
func TestFlightWithoutAnswerIsMadeAgainAndSaysSo(t *testing.T) {
	for name, done := range map[string]bool{"it was done": true, "it was not": false} {
		t.Run(name, func(t *testing.T) {
			spoilt(t, 0, func(t *testing.T, be *backend.Backend, s *spoiler) {
				e, k := acquirer(), be.Names("k")
				s.spoil, s.done, s.err = 2, done, io.ErrUnexpectedEOF
				start := time.Now()
				a := do(be, backend.Acquire(k, e, true, manyMay))
				if a.Err != nil || a.Reply.Status != backend.Granted || !a.Repeated || s.calls != 3 {
					t.Errorf("%+v after %d calls, want it granted after 3", a, s.calls)
				}
				if !a.Sent.Equal(start) {
					t.Errorf("sent %v after it was first", a.Sent.Sub(start))
				}
				if time.Since(start) == 0 {
					t.Error("no pause between the calls")
				}

				s.spoil = 1
				a = do(be, backend.Release(k, e.ID(), 0, 0, ""))
				want := backend.Released
				if done {
					want = backend.Missing
				}
				if a.Err != nil || a.Reply.Status != want || !a.Repeated {
					t.Errorf("%+v, want status %d, repeated", a, want)
				}
				if a := do(be, backend.Acquire(k, e, true, manyMay)); a.Repeated {
					t.Errorf("%+v: sent once", a)
				}
			})
		})
	}
}

func TestFlightIsMadeAgainAsOftenAsTheClientWouldAndNoMore(t *testing.T) {
	for retries, want := range map[int]int{-1: 1, 1: 2, 0: 4} { // 0 is go-redis's default, 3
		spoilt(t, retries, func(t *testing.T, be *backend.Backend, s *spoiler) {
			s.spoil, s.err = 10, io.EOF
			a := do(be, backend.Acquire(be.Names("k"), acquirer(), true, manyMay))
			if !errors.Is(a.Err, io.EOF) || s.calls != want {
				t.Errorf("MaxRetries %d: %v after %d calls, want %d", retries, a.Err, s.calls, want)
			}
			s.spoil = 0
		})
	}
}

// What the server has refused was not done the first time.
func TestFlightThatTheServerRefusesForNowIsMadeAgain(t *testing.T) {
	for _, text := range []string{"LOADING Redis is loading the dataset in memory", "ERR max number of clients reached", "READONLY You can't write against a read only replica."} {
		spoilt(t, 0, func(t *testing.T, be *backend.Backend, s *spoiler) {
			s.spoil, s.err = 1, reply(text)
			a := do(be, backend.Acquire(be.Names("k"), acquirer(), true, manyMay))
			if a.Err != nil || a.Repeated || s.calls != 2 {
				t.Errorf("%s: %+v after %d calls", text, a, s.calls)
			}
		})
	}
	spoilt(t, 0, func(t *testing.T, be *backend.Backend, s *spoiler) {
		s.spoil, s.err = 1, reply("NOPERM this user has no permissions")
		if a := do(be, backend.Acquire(be.Names("k"), acquirer(), true, manyMay)); !errors.Is(a.Err, s.err) || s.calls != 1 {
			t.Errorf("%+v after %d calls: it will not pass", a, s.calls)
		}
	})
}
