package core_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// When Redis has forgotten a lease that a process is passing on among its own
// requests, another process gets the key, under a higher token. The first is to stop
// within a second: core's documentation says so.
func TestALeaseThatRedisHasForgottenIsNotPassedOnForLong(t *testing.T) {
	t.Parallel()
	forget := func(rdb *redis.Client, pattern string) {
		for _, name := range rdb.Keys(context.Background(), pattern).Val() {
			rdb.Del(context.Background(), name)
		}
	}
	for name, lose := range map[string]func(*testing.T, *locktest.Redis){
		"FLUSHALL":           func(_ *testing.T, srv *locktest.Redis) { srv.Client(nil).FlushAll(context.Background()) },
		"the lease, evicted": func(_ *testing.T, srv *locktest.Redis) { forget(srv.Client(nil), "*:l:*") },
		"a restart":          func(_ *testing.T, srv *locktest.Redis) { srv.Kill(); srv.Restart() },
		"BreakNow, whose message is lost": func(t *testing.T, srv *locktest.Redis) {
			operator := newLocker(t, srv.Client(nil))
			srv.Client(nil).Do(context.Background(), "client", "kill", "type", "pubsub")
			if _, err := operator.BreakNow(context.Background(), "k"); err != nil {
				t.Error(err)
			}
		},
	} {
		for hold, callers := range map[time.Duration]int{time.Millisecond: 40, 700 * time.Millisecond: 4} {
			if hold > time.Millisecond && name != "FLUSHALL" {
				continue
			}
			t.Run(name+", each holds for "+hold.String(), func(t *testing.T) {
				t.Parallel()
				srv := locktest.StartRedis(t)
				a, b := newLocker(t, srv.Client(nil)), newLocker(t, srv.Client(nil))
				type grant struct {
					asked, got time.Time
					token      uint64
				}
				var mu sync.Mutex
				var grants []grant
				stop := make(chan struct{})
				var line sync.WaitGroup
				for range callers {
					line.Go(func() {
						for {
							select {
							case <-stop:
								return
							default:
							}
							asked := time.Now()
							lock, err := a.Acquire(context.Background(), "k", core.Wait(2*time.Second))
							if err != nil {
								continue
							}
							mu.Lock()
							grants = append(grants, grant{asked, time.Now(), lock.Token()})
							mu.Unlock()
							<-time.After(hold)
							_ = lock.Release(context.Background())
						}
					})
				}
				<-time.After(time.Second)
				lose(t, srv)
				var other core.Lock
				err := core.ErrBackend
				for err != nil {
					other, err = b.Acquire(context.Background(), "k", core.Wait(5*time.Second))
				}
				in := time.Now()
				<-time.After(3 * time.Second)
				mu.Lock()
				var last time.Duration
				n := 0
				for _, g := range grants {
					if g.asked.After(in) && g.token < other.Token() {
						n++
						last = max(last, g.got.Sub(in))
					}
				}
				mu.Unlock()
				t.Logf("%d later holders with a lower token, the last %v after the other's grant", n, last)
				if last > 2*time.Second { // a second, on a machine that is not busy
					t.Errorf("passed on for %v", last)
				}
				_ = other.Release(context.Background())
				close(stop)
				line.Wait()
			})
		}
	}
}
