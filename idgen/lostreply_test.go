package idgen

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

// unheard does what it is told, and loses replies.
type unheard struct {
	SnowflakeRedis
	lose atomic.Int64 // how many of the next ones
}

var errReset = errors.New("connection reset by peer")

func (u *unheard) EvalSha(ctx context.Context, sha1 string, keys []string, args ...any) *redis.Cmd {
	cmd := u.SnowflakeRedis.EvalSha(ctx, sha1, keys, args...)
	if cmd.Err() == nil && u.lose.Add(-1) >= 0 {
		cmd.SetErr(errReset)
	}
	return cmd
}

// While a process was stopped, another had its number, and has left. The first
// call afterwards takes the number anew, unheard: the next must not take that for
// the lease that it knows, and go on from its last ID.
func TestALostReplyAfterAPauseBringsNobodyElsesTimes(t *testing.T) {
	bubble(t, func(t *testing.T, r *bubbleRedis) {
		u := &unheard{SnowflakeRedis: r}
		h := newHanging(u)
		paused := newSnowflake(t, h, WorkerBits(12))
		mustID(t, paused)
		h.hang()
		time.Sleep(3*DefaultWindow + time.Second)

		other := newSnowflake(t, r, WorkerBits(12))
		theirs := make([]ID, 50<<10) // 50 ms
		if _, err := other.NextN(t.Context(), theirs); err != nil {
			t.Fatal(err)
		}
		seen := map[ID]bool{}
		for _, id := range theirs {
			seen[id] = true
		}
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}

		u.lose.Store(1)
		h.goOn()
		for range 300 {
			time.Sleep(20 * time.Millisecond)
			id, err := paused.Next(t.Context())
			if errors.Is(err, errReset) { // once
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if p, _ := paused.Split(id); p.Worker != 0 {
				t.Fatalf("worker %d: the test shows nothing", p.Worker)
			}
			if seen[id] {
				t.Fatalf("%d came twice", id)
			}
		}
	})
}

// delayed does what it is told at once, and hands out replies later, also to who
// has given up.
type delayed struct{ *hanging }

func (d delayed) EvalSha(ctx context.Context, sha1 string, keys []string, args ...any) *redis.Cmd {
	cmd := d.SnowflakeRedis.EvalSha(context.WithoutCancel(ctx), sha1, keys, args...)
	d.hang()
	defer d.goOn()
	return cmd
}

func TestAClosedSnowflakeMakesNoIDOfWhatItHasOrIsGrantedThen(t *testing.T) {
	bubble(t, func(t *testing.T, r *bubbleRedis) {
		s := newSnowflake(t, r)
		mustID(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Next(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("with IDs at hand: %v, want ErrClosed", err)
		}

		d := delayed{newHanging(r)}
		s = newSnowflake(t, d)
		time.Sleep(DefaultSkew + beyond/2)
		d.hang()
		time.Sleep(DefaultSkew) // the grant is on its way
		closed := make(chan error)
		go func() { closed <- s.Close() }()
		synctest.Wait()
		d.goOn()
		if err := <-closed; err != nil {
			t.Fatal(err)
		}
		if _, err := s.Next(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("with a grant under way: %v, want ErrClosed", err)
		}
	})
}
