package core_test

import (
	"context"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

func TestALockIsReleasedToTheNextWhileRedisIsOutOfMemory(t *testing.T) {
	t.Parallel()
	srv := locktest.StartRedis(t, "--maxmemory-policy", "noeviction")
	admin := srv.Client(nil)
	a := newLocker(t, srv.Client(nil), core.TTL(15*time.Second), core.Wait(30*time.Second))
	b := newLocker(t, srv.Client(nil), core.TTL(15*time.Second), core.Wait(30*time.Second))
	for name, end := range map[string]func(core.Lock) error{
		"by its holder": func(k core.Lock) error { return k.Release(t.Context()) },
		"by a holder that does not wait for the answer": func(k core.Lock) error {
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			_ = k.Release(ended)
			return nil
		},
		"by an operator": func(k core.Lock) error {
			_, err := a.BreakNow(t.Context(), k.Key())
			return err
		},
		"by its holder, whom an operator has stopped": func(k core.Lock) error {
			if _, err := b.Break(t.Context(), k.Key()); err != nil {
				return err
			}
			<-k.Context().Done()
			return k.Release(t.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			held := must[core.Lock](t)(a.Acquire(t.Context(), name))
			granted := make(chan core.Lock, 1)
			go func() {
				k, err := b.Acquire(t.Context(), name)
				if err != nil {
					t.Error(err)
				}
				granted <- k
			}()
			eventually(t, "another waits", func() bool { return len(admin.Keys(t.Context(), "*:q:*").Val()) == 1 })
			if err := admin.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
				t.Fatal(err)
			}
			defer admin.ConfigSet(context.WithoutCancel(t.Context()), "maxmemory", "0")
			if err := end(held); err != nil {
				t.Error(err)
			}
			released := time.Now()
			k := <-granted
			if k == nil {
				t.FailNow()
			}
			if d := time.Since(released); d > 10*time.Second {
				t.Errorf("granted after %v", d)
			}
			if err := k.Release(t.Context()); err != nil {
				t.Error(err)
			}
			_ = held.Release(t.Context())
		})
	}
}
