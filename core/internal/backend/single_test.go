package backend_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// opaque is a client of which nothing but a universal client's methods can be seen.
type opaque struct{ redis.UniversalClient }

// wantSlotError fails the test unless err says which client is to be used.
func wantSlotError(t *testing.T, err error, answer string) {
	t.Helper()
	e, ok := errors.AsType[*backend.SlotError](err)
	if !ok || !redis.HasErrorPrefix(err, answer) || !strings.Contains(e.Error(), "redis.NewClusterClient") {
		t.Errorf("%v (%T), want a SlotError for %s", err, err, answer)
	}
}

// acquireEach has the backend acquire many keys, and returns the errors.
func acquireEach(t *testing.T, be *backend.Backend, keys int) (failed []error) {
	t.Helper()
	p := backend.NewProcess()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range keys {
		wg.Add(1)
		e := backend.MakeEntry(backend.MakeID(p, uint64(i)+1), ttl, 1, "")
		be.Do(backend.Acquire(be.Names(fmt.Sprint("k", i)), e, false, 0), func(a backend.Answer) {
			defer wg.Done()
			if a.Err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, a.Err)
			}
		})
	}
	wg.Wait()
	return failed
}

func TestAServerOfAClusterThatRefusesSaysWhichClientToUse(t *testing.T) {
	c := locktest.StartCluster(t, 3, 0)
	t.Run("a client of one server", func(t *testing.T) {
		rdb := c.Nodes()[0].Client(nil)
		be := backend.New(rdb, prefix)
		defer closeBackend(t, be)
		moved := 0
		for i := range 20 { // one at a time: one is in a call
			s := &stage{T: t, rdb: rdb, be: be}
			s.use(fmt.Sprint("k", i))
			if _, err := s.ask(s.acquire(newProcess(s).entry(""))); err != nil {
				moved++
				wantSlotError(t, err, "MOVED")
			}
		}
		if moved == 0 {
			t.Error("all keys are on that server")
		}
		for _, err := range acquireEach(t, be, 100) {
			if redis.HasErrorPrefix(err, "MOVED") {
				wantSlotError(t, err, "MOVED")
			} else {
				wantSlotError(t, err, "CROSSSLOT")
			}
		}
	})
	t.Run("a cluster's client that cannot be seen", func(t *testing.T) {
		be := backend.New(opaque{c.Client(nil)}, prefix)
		defer closeBackend(t, be)
		failed := acquireEach(t, be, 200)
		if len(failed) == 0 {
			t.Error("no call was for several slots")
		}
		for _, err := range failed {
			wantSlotError(t, err, "CROSSSLOT")
		}
	})
}

// Of a proxy, for example.
func TestAnswersThatAreAboutNoSlotAreLeftAsTheyAre(t *testing.T) {
	s := onRedis(t)
	s.rdb.AddHook(answers{"ERR no"})
	if _, err := s.ask(s.acquire(newProcess(s).entry(""))); err == nil || err.Error() != "ERR no" {
		t.Errorf("%v", err)
	}
}

// answers has script calls answered with an error.
type answers struct{ text string }

func (a answers) Error() string { return a.text }
func (a answers) RedisError()   {}

func (a answers) DialHook(next redis.DialHook) redis.DialHook { return next }

func (a answers) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (a answers) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if strings.HasPrefix(cmd.Name(), "eval") {
			cmd.SetErr(a)
			return a
		}
		return next(ctx, cmd)
	}
}
