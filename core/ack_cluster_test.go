package core_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

func TestReplicasOfEachMasterAcknowledgeOnACluster(t *testing.T) {
	t.Parallel()
	c := locktest.StartCluster(t, 3, 1)
	l := newLocker(t, c.Client(&redis.ClusterOptions{ContextTimeoutEnabled: true}), core.ReplicaAck(1, ackTimeout))
	var callers sync.WaitGroup
	for i := range 30 { // of many buckets at once
		callers.Go(func() {
			if err := l.Do(t.Context(), fmt.Sprint("key/", i), func(context.Context) error { return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()

	lock := must[core.Lock](t)(l.Acquire(t.Context(), "k"))
	name := leaseName(t, c.Client(nil), "k")
	master := c.Master(name)
	other := newLocker(t, c.Client(nil), core.ReplicaAck(1, ackTimeout))
	granted := make(chan error, 1)
	go func() {
		lock, err := other.Acquire(t.Context(), "k")
		if err == nil {
			err = lock.Release(t.Context())
		}
		granted <- err
	}()
	eventually(t, "it waits", func() bool {
		return master.Client(nil).Exists(t.Context(), name[:len("latchkey:{00}:")]+"q:k").Val() == 1
	})
	if err := lock.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-granted; err != nil {
		t.Error(err)
	}
	c.MoveSlot(name)
	eventually(t, "locks follow", func() bool {
		return l.Do(t.Context(), "k", func(context.Context) error { return nil }) == nil
	})

	replica := c.Replicas(c.Master(name))[0]
	replica.Stop()
	defer replica.Continue()
	_, err := newLocker(t, c.Client(nil), core.ReplicaAck(1, vainTimeout)).Acquire(t.Context(), "k")
	wantUnacked(t, err, 0)
	served := false
	for i := 0; i < 30 && !served; i++ {
		served = l.Do(t.Context(), fmt.Sprint("key/", i), func(context.Context) error { return nil }) == nil
	}
	if !served {
		t.Error("the keys of other masters are held up")
	}
}
