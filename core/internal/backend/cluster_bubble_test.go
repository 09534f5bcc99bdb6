package backend_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// fakeCluster is three miniredis that a ClusterClient takes for the nodes of a
// cluster, in simulated time: none of them redirects, and who has which slots is
// the test's to say. It has no sharded pub/sub.
type fakeCluster struct {
	*clusterStage

	mu     sync.Mutex
	owners [3]string // who has each third of the slots
	lookUp func() error
	looks  int
}

// A loopback address the client would take for another's own.
var fakeAddrs = [3]string{"10.0.0.1:6379", "10.0.0.2:6379", "10.0.0.3:6379"}

// inFakeCluster runs a test in simulated time. Nothing is known of the cluster
// yet.
func inFakeCluster(t *testing.T, test func(s *fakeCluster)) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeCluster{clusterStage: &clusterStage{T: t, tap: &tap{}}, owners: fakeAddrs}
		nodes := make(map[string]*locktest.Mini)
		for _, addr := range fakeAddrs {
			nodes[addr] = locktest.StartMini(t)
		}
		f.rdb = redis.NewClusterClient(&redis.ClusterOptions{
			ClusterSlots:             f.slots,
			Dialer:                   func(_ context.Context, _, addr string) (net.Conn, error) { return nodes[addr].Dial() },
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		})
		f.rdb.OnNewNode(f.tap.attach)
		f.be = backend.New(f.rdb, prefix)
		t.Cleanup(func() {
			f.tap.via(nil)
			f.lookingUp(nil)
			closeBackend(t, f.be)
			_ = f.rdb.Close()
			pause(5 * time.Second) // what hangs, and the client's own look at the cluster
		})
		test(f)
	})
}

// slots is how the client learns where they are.
func (f *fakeCluster) slots(context.Context) ([]redis.ClusterSlot, error) {
	f.mu.Lock()
	f.looks++
	lookUp := f.lookUp
	f.mu.Unlock()
	if lookUp != nil {
		if err := lookUp(); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var slots []redis.ClusterSlot
	for i, addr := range f.owners {
		const third = 16384 / 3
		end := third*(i+1) - 1
		if i == 2 {
			end = 16383
		}
		slots = append(slots, redis.ClusterSlot{Start: third * i, End: end, Nodes: []redis.ClusterNode{{Addr: addr}}})
	}
	return slots, nil
}

// looked is how often the client has done so.
func (f *fakeCluster) looked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.looks
}

// lookingUp has f decide what becomes of it; nil lets it be.
func (f *fakeCluster) lookingUp(do func() error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lookUp = do
}

// own gives the slots of each third to a node.
func (f *fakeCluster) own(owners ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	copy(f.owners[:], owners)
}

// owner is who has the slots of a third.
func (f *fakeCluster) owner(third int) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.owners[third]
}

// known has the backend know where all buckets are, and returns keys of each node.
func (f *fakeCluster) known(perNode int) [3][]string {
	f.Helper()
	var keys [3][]string
	for i, addr := range fakeAddrs {
		keys[i] = f.keys(addr, perNode)
		f.warm(keys[i]...)
	}
	return keys
}

// down tells whether key's node counts as down.
func (f *fakeCluster) down(key string) bool { return f.be.Down(f.be.Names(key)) != nil }

// pause lets simulated time pass.
func pause(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
