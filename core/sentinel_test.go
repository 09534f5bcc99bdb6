package core_test

import (
	"fmt"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// replicaLag is for how long the replicas hear nothing before a primary dies, where
// that is the fault: less than Sentinel takes to miss them.
const replicaLag = 200 * time.Millisecond

// mostFailovers is how many may be lucky ones, in which a second holder could come
// and does not.
const mostFailovers = 60

// failovers is what a number of failovers came to.
type failovers struct {
	name                              string
	n                                 int
	slowest                           time.Duration // until every key was granted again
	grants, refusals, lost            int64
	doubles, refused, accepted, falls int
}

// add adds those of another run.
func (f *failovers) add(o failovers) {
	f.n += o.n
	f.slowest = max(f.slowest, o.slowest)
	f.grants, f.refusals, f.lost = f.grants+o.grants, f.refusals+o.refusals, f.lost+o.lost
	f.doubles, f.refused, f.accepted, f.falls = f.doubles+o.doubles, f.refused+o.refused, f.accepted+o.accepted, f.falls+o.falls
}

// TestSentinelFailovers kills the primary under load, plainly and with replicas
// that have not heard its last writes, without and with acknowledgements. A second
// holder beside the first is what is declared for failovers; but tokens rise, and
// a store that checks them takes no stale write.
func TestSentinelFailovers(t *testing.T) {
	t.Parallel()
	labelGoroutines(t)
	s := locktest.StartSentinel(t, 2)
	var table []failovers
	for _, ack := range []bool{false, true} {
		for _, lag := range []bool{false, true} {
			var opts []core.Option
			name := "plain"
			if ack {
				name, opts = "ReplicaAck(1)", append(opts, core.ReplicaAck(1, 100*time.Millisecond))
			}
			if lag {
				name += ", replicas lag"
			} else if *faults < 2 {
				continue // the other is the harder one
			}
			f := failOver(t, s, lag, opts)
			f.name = name
			// The next holders have to come before the renewals of those who stay,
			// which is a race at each failover.
			unsafe := !ack && lag && *faults >= 5
			for unsafe && f.doubles == 0 && f.n < mostFailovers {
				f.add(failOver(t, s, lag, opts))
			}
			table = append(table, f)
			if f.accepted+f.falls > 0 {
				t.Errorf("%s: %d stale writes accepted, %d tokens that did not rise", name, f.accepted, f.falls)
			}
			if unsafe && f.doubles == 0 {
				t.Errorf("%s: what the replicas had not heard of is forgotten, and no second holder was seen", name)
			}
		}
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\t failovers\t slowest recovery\t grants\t refusals\t told of a loss\t double grants\t stale writes refused\t accepted")
	for _, f := range table {
		fmt.Fprintf(w, "%s\t %d\t %v\t %d\t %d\t %d\t %d\t %d\t %d\n", f.name, f.n, f.slowest.Round(10*time.Millisecond),
			f.grants, f.refusals, f.lost, f.doubles, f.refused, f.accepted)
	}
	w.Flush()
	t.Logf("\n%s", b.String())
}

func failOver(t *testing.T, s *locktest.Sentinel, lag bool, opts []core.Option) failovers {
	t.Helper()
	opts = append(opts, core.TTL(crowdTTL), core.Wait(crowdPatience))
	var lockers []*core.RedisLocker
	for i := range 3 {
		lockers = append(lockers, newLocker(t, s.Client(&redis.FailoverOptions{ContextTimeoutEnabled: i%2 == 1}), opts...))
	}
	crowd := newCrowd(t, lockers)
	f := failovers{n: *faults}
	for range *faults {
		crowd.recovery(crowd.mark())
		master := s.Master()
		lagging := func(do func(*locktest.Redis)) {
			for _, r := range s.Servers() {
				if lag && r != master {
					do(r)
				}
			}
		}
		lagging((*locktest.Redis).Stop)
		if lag {
			// Else what they are sent waits for them in their sockets.
			if err := master.Client(nil).ClientKillByFilter(t.Context(), "TYPE", "replica").Err(); err != nil {
				t.Fatal(err)
			}
		}
		crowd.lingering.Store(true)
		<-time.After(replicaLag)
		master.Kill()
		died := crowd.mark()
		crowd.lingering.Store(false)
		lagging((*locktest.Redis).Continue)
		s.AwaitMaster(master)
		f.slowest = max(f.slowest, crowd.recovery(died))
		master.Restart()
		s.AwaitHealthy()
	}
	crowd.end()
	leavesNoGoroutine(t, lockers)
	f.grants, f.refusals, f.lost = crowd.grants.Load(), crowd.refusals.Load(), crowd.lost.Load()
	f.doubles, f.refused, f.accepted, f.falls = crowd.sums()
	return f
}
