package locktest_test

import (
	"context"
	"testing"

	"github.com/latchkey-go/latchkey/core/locktest"
)

func TestSentinelsReplaceAMasterThatIsGone(t *testing.T) {
	t.Parallel()
	s := locktest.StartSentinel(t, 1)
	rdb := s.Client(nil)
	for i := range 2 {
		old := s.Master()
		if err := rdb.Set(t.Context(), "k", i, 0).Err(); err != nil {
			t.Fatal(err)
		}
		if err := rdb.Wait(t.Context(), 1, 0).Err(); err != nil {
			t.Fatal(err)
		}
		old.Kill()
		successor := s.AwaitMaster(old)
		if successor == old || s.Master() != successor {
			t.Fatalf("%s was replaced by %s; the master is %s", old.Addr(), successor.Addr(), s.Master().Addr())
		}
		eventually(t, "a write to the successor", func() error { return rdb.Incr(t.Context(), "k").Err() })
		old.Restart()
		s.AwaitHealthy()
		if got, err := old.Client(once()).Get(t.Context(), "k").Int(); err != nil || got != i+1 {
			t.Errorf("the old master has %d, %v; want %d, as a replica", got, err, i+1)
		}
	}
}

func TestAManualFailoverBySentinelsIsFollowedByClients(t *testing.T) {
	t.Parallel()
	s := locktest.StartSentinel(t, 1, "--maxmemory-policy", "allkeys-lru")
	if n := len(s.Servers()); n != 2 || s.Servers()[0] != s.Master() {
		t.Fatalf("%d servers, of which the first is not the master; want 2", n)
	}
	if got := s.Master().Client(once()).ConfigGet(t.Context(), "maxmemory-policy").Val()["maxmemory-policy"]; got != "allkeys-lru" {
		t.Errorf("maxmemory-policy = %q; want what the test asked for", got)
	}
	rdb := s.Client(nil)
	for range 2 {
		old := s.Master()
		successor := s.Failover()
		if successor == old || s.Master() != successor {
			t.Fatalf("failover from %s to %s; the master is %s", old.Addr(), successor.Addr(), s.Master().Addr())
		}
		eventually(t, "a write to the successor", func() error { return rdb.Set(t.Context(), "k", successor.Addr(), 0).Err() })
		if got := successor.Client(once()).Get(t.Context(), "k").Val(); got != successor.Addr() {
			t.Errorf("the successor has %q; want what the client wrote", got)
		}
	}
}

func TestAWaitThatTakesTooLongSaysForWhatAndShowsTheServers(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	f := &failingTest{TB: t, ctx: ctx}
	s := locktest.StartSentinel(f, 1)
	cancel()
	func() {
		defer func() { _ = recover() }()
		s.AwaitMaster(s.Servers()[0])
	}()
	says(t, "failure", f.fatal, []string{
		"a master other than " + s.Servers()[0].Addr(), "waited",
		"to sentinel " + s.SentinelAddrs()[2], "server " + s.Servers()[1].Addr(),
	})
}
