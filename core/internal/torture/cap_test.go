package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/internal/torture/tally"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// TestS12ACrowdMeetsTheCap: thousands want one key, in which 64 may wait. The
// others are refused at once, and a neighbour, who wants another key of the same
// Locker, does not pay for it.
func TestS12ACrowdMeetsTheCap(t *testing.T) {
	t.Parallel()
	s := scenario(t, "S12")
	const most = 64
	people, each := size(500, 5000), time.Second
	if *share > 0 {
		each = max(each, time.Duration(*share*float64(40*time.Second)))
	}
	server := locktest.StartRedis(t)
	locker, err := core.New(server.Client(&redis.Options{ContextTimeoutEnabled: true}), core.MaxWaiters(most))
	if err != nil {
		t.Fatal(err)
	}
	defer locker.Close()
	n := neighbour{t: t, s: s, locker: locker, most: most + 1} // and the neighbour
	before := n.p99(each)
	var over atomic.Bool
	var crowd sync.WaitGroup
	var granted, refused, inside atomic.Int64
	for range people {
		crowd.Go(func() {
			for !over.Load() {
				lock, err := locker.Acquire(context.Background(), "hot")
				switch {
				case err == nil:
					granted.Add(1)
					if inside.Add(1) > 1 {
						s.Count(func(t *tally.Totals) { t.Doubles++ })
						n.violation("O2: two are inside")
					}
					time.Sleep(time.Millisecond)
					inside.Add(-1)
					if err := lock.Release(context.Background()); err != nil {
						n.violation("O7: Release: %v", err)
					}
				case errors.Is(err, core.ErrQueueFull):
					refused.Add(1)
				default:
					n.violation("O7: Acquire: %v", err)
				}
				// As a client does that heeds the answer, and the next one's.
				time.Sleep(100*time.Millisecond + rand.N(time.Second))
			}
		})
	}
	beside := n.p99(each)
	over.Store(true)
	crowd.Wait()
	after := n.p99(each)
	s.Count(func(t *tally.Totals) {
		t.Attempts += int(granted.Load() + refused.Load())
		t.Grants += int(granted.Load())
		t.Notes = append(t.Notes, fmt.Sprintf("neighbour's p99: %v before, %v beside, %v after; %d refused",
			before, beside, after, refused.Load()))
		if refused.Load() == 0 {
			t.Violations = append(t.Violations, "O7: nobody was refused: there is nothing to be seen")
		}
		// A time is nothing for a short run on a busy machine to judge.
		if *share > 0 && beside > 2*max(before, after) {
			t.Violations = append(t.Violations, fmt.Sprintf("O5: the neighbour's p99 is %v beside the crowd, %v and %v without", beside, before, after))
		}
	})
}

// neighbour takes and releases a key that nobody else wants.
type neighbour struct {
	t      *testing.T
	s      *tally.Tally
	locker *core.RedisLocker
	most   int // requests that may be under way at a time
}

func (n neighbour) violation(format string, args ...any) {
	n.s.Count(func(t *tally.Totals) { t.Violations = append(t.Violations, fmt.Sprintf(format, args...)) })
}

// p99 is how long all but one of a hundred of its cycles take, at most.
func (n neighbour) p99(during time.Duration) time.Duration {
	var took []time.Duration
	for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(time.Millisecond) {
		begun := time.Now()
		lock, err := n.locker.Acquire(n.t.Context(), "quiet")
		if err != nil {
			n.violation("O7: the neighbour: %v", err)
			break
		}
		if err := lock.Release(n.t.Context()); err != nil {
			n.violation("O7: the neighbour's Release: %v", err)
		}
		took = append(took, time.Since(begun))
		if requests := n.locker.Snapshot().Requests; requests > n.most {
			n.violation("O6: %d hold and wait, and %d may", requests, n.most)
		}
	}
	n.s.Count(func(t *tally.Totals) {
		t.Attempts += len(took)
		t.Grants += len(took)
	})
	slices.Sort(took)
	if len(took) == 0 {
		return 0
	}
	return took[len(took)*99/100]
}
