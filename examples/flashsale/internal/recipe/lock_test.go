package recipe_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/examples/flashsale/internal/recipe"
)

func start(t *testing.T) (*miniredis.Miniredis, *redis.Client) {
	t.Helper()
	server := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() {
		if err := rdb.Close(); err != nil {
			t.Error(err)
		}
	})
	return server, rdb
}

func TestOneAtATimeWithinTheExpiry(t *testing.T) {
	server, rdb := start(t)
	lock := recipe.New(rdb, 10*time.Second, time.Minute)
	inside, total := 0, 0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				err := lock.Do(t.Context(), "k", func(context.Context) error {
					inside++ // the race detector and the count both watch
					if inside != 1 {
						t.Errorf("%d holders", inside)
					}
					inside--
					total++
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if total != 40 {
		t.Errorf("ran %d times, want 40", total)
	}
	if server.Exists("k") {
		t.Error("the key was left behind")
	}
}

func TestAHeldKeyTimesOut(t *testing.T) {
	_, rdb := start(t)
	err := recipe.New(rdb, 10*time.Second, time.Minute).Do(t.Context(), "k", func(ctx context.Context) error {
		return recipe.New(rdb, 10*time.Second, 20*time.Millisecond).Do(ctx, "k", func(context.Context) error {
			t.Error("two holders")
			return nil
		})
	})
	if !errors.Is(err, recipe.ErrTimeout) {
		t.Errorf("got %v, want ErrTimeout", err)
	}
}

func TestAnExpiredHolderSharesTheKeyAndDoesNotDeleteTheNextOnes(t *testing.T) {
	server, rdb := start(t)
	lock := recipe.New(rdb, 10*time.Second, time.Second)
	ran := false
	err := lock.Do(t.Context(), "k", func(ctx context.Context) error {
		server.FastForward(11 * time.Second)
		return lock.Do(ctx, "k", func(context.Context) error {
			ran = true
			return server.Set("k", "somebody else")
		})
	})
	if err != nil || !ran {
		t.Errorf("ran %v, error %v; after the expiry the lock should be free", ran, err)
	}
	if got, err := server.Get("k"); err != nil || got != "somebody else" {
		t.Errorf("the key holds %q (%v), want the next owner", got, err)
	}
}

func TestTheFunctionsErrorIsReturnedAndTheKeyReleased(t *testing.T) {
	server, rdb := start(t)
	mine := errors.New("mine")
	err := recipe.New(rdb, time.Second, time.Second).Do(t.Context(), "k", func(context.Context) error { return mine })
	if !errors.Is(err, mine) || server.Exists("k") {
		t.Errorf("error %v, key left %v", err, server.Exists("k"))
	}
}

func TestACancelledHolderStillReleases(t *testing.T) {
	server, rdb := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := recipe.New(rdb, time.Second, time.Second).Do(ctx, "k", func(context.Context) error {
		cancel()
		return nil
	})
	if err != nil || server.Exists("k") {
		t.Errorf("error %v, key left %v", err, server.Exists("k"))
	}
}
