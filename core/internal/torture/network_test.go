package torture

import (
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/faultproxy"
	"github.com/latchkey-go/latchkey/core/internal/torture/fleet"
	"github.com/latchkey-go/latchkey/core/internal/torture/history"
	"github.com/latchkey-go/latchkey/core/internal/torture/tally"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// network is the faults of the way to Redis.
type network struct {
	s     *tally.Tally
	f     *fleet.Fleet
	proxy *faultproxy.Proxy
	ttl   time.Duration
}

// dropReplies loses the replies to the next n script calls, all of which have been
// carried out.
func (n network) dropReplies(t *testing.T, replies int) {
	dropped := n.proxy.DropReplies(replies, faultproxy.Contains("evalsha"))
	for begun := time.Now(); dropped() < replies && time.Since(begun) < 10*time.Second && t.Context().Err() == nil; {
		n.f.Elapse(5 * time.Millisecond)
	}
	n.proxy.Heal() // a connection that ended before its reply came has used one up
	n.s.Count(func(t *tally.Totals) {
		t.Faults["reply dropped"] += dropped()
		t.Ambiguous += dropped()
	})
}

// disturb does one of the others, for less or for more than a lease lasts.
func (n network) disturb(kind int) {
	d := n.f.Between(n.ttl/10, 3*n.ttl/2)
	switch kind % 5 {
	case 0:
		count(n.s, "all connections reset", 1)
		n.proxy.CutAll()
	case 1:
		count(n.s, "subscriptions cut", 1)
		n.proxy.CutMatching(faultproxy.Contains("subscribe"))
	case 2:
		count(n.s, "half-open network", 1)
		n.proxy.Stall()
		n.f.Elapse(d)
		n.proxy.Resume()
	case 3:
		count(n.s, "replies delayed", 1)
		n.proxy.DelayReplies(d)
		n.f.Elapse(n.ttl)
		n.proxy.DelayReplies(0)
	case 4:
		count(n.s, "connections refused", 1)
		n.proxy.Block()
		n.proxy.CutAll()
		n.f.Elapse(d / 2)
		n.proxy.Unblock()
	}
}

// TestS8RepliesGetLost: the request was carried out, and nobody knows.
func TestS8RepliesGetLost(t *testing.T) {
	t.Parallel()
	s := scenario(t, "S8")
	const ttl, atOnce = 500 * time.Millisecond, 20
	server := locktest.StartRedis(t)
	proxy := faultproxy.New(t, server.Addr())
	work := under(ttl)
	work.Hold, work.Rest, work.Long = 0, ttl/50, 5
	f := fleet.Start(t, server, proxy.Addr(), 3, work, chosen(s))
	n := network{s, f, proxy, ttl}
	times := size(200, 5000) / atOnce
	for i := range times {
		n.dropReplies(t, atOnce)
		if i%4 == 0 {
			n.disturb(i / 4)
			f.Await(5)
		}
	}
	conclude(s, f.End("backend", "lost"), history.Terms{})
	s.Count(func(t *tally.Totals) {
		if want := times * atOnce * 9 / 10; t.Ambiguous < want {
			t.Violations = append(t.Violations, fmt.Sprintf("there is nothing to be seen: %d replies were lost, of %d at least", t.Ambiguous, want))
		}
	})
}

// TestS15Soak has everything go wrong at random. Only the full form has it.
func TestS15Soak(t *testing.T) {
	if *share == 0 {
		return // S4 to S8 have the same faults, one kind at a time
	}
	t.Parallel()
	s := scenario(t, "S15")
	const ttl = 500 * time.Millisecond
	server := locktest.StartRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	proxy := faultproxy.New(t, server.Addr())
	f := fleet.Start(t, server, proxy.Addr(), 4, under(ttl), chosen(s))
	n := network{s, f, proxy, ttl}
	faults := []func(){
		func() { f.Freeze(1, f.Between(ttl/4, 2*ttl)); count(s, "process stopped", 1) },
		func() { f.Kill(1); count(s, "process killed", 1) },
		func() {
			server.Stop()
			f.Elapse(f.Between(ttl/4, 2*ttl))
			server.Continue()
			count(s, "redis stopped", 1)
		},
		func() { server.Kill(); server.Restart(); count(s, "redis killed, persistence always", 1) },
		func() { n.dropReplies(t, 10) },
		func() { n.disturb(int(f.Between(0, 4))) },
	}
	for end := time.Now().Add(time.Duration(*share * float64(6*time.Minute))); time.Now().Before(end); {
		f.Elapse(f.Between(0, ttl))
		faults[f.Between(0, time.Duration(len(faults)-1))]()
		f.Await(5)
	}
	conclude(s, f.End("backend", "lost"), history.Terms{})
	// Not deferred: if the test dies before, that is its finding, and nothing else.
	mustSee(s, "stale write", s.End().Lost)
}
