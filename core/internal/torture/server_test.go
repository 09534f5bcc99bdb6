package torture

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/torture/fleet"
	"github.com/latchkey-go/latchkey/core/internal/torture/history"
	"github.com/latchkey-go/latchkey/core/internal/torture/tally"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// TestS6RedisStops: it is stopped, or made to pause, for less or for more than
// leases last. Nobody gets an answer, and leases expire.
func TestS6RedisStops(t *testing.T) {
	t.Parallel()
	s := scenario(t, "S6")
	const ttl = 500 * time.Millisecond
	server := locktest.StartRedis(t)
	f := fleet.Start(t, server, server.Addr(), 3, under(ttl), chosen(s))
	admin := server.Client(nil)
	for i := range size(3, 100) {
		f.Elapse(f.Between(0, ttl))
		d := f.Between(ttl/4, 2*ttl)
		if i%3 == 0 {
			server.Stop()
			f.Elapse(d)
			server.Continue()
			count(s, "redis stopped", 1)
		} else {
			mode, kind := "ALL", "redis paused"
			if i%3 == 1 {
				mode, kind = "WRITE", "redis paused for writes"
			}
			if err := admin.Do(t.Context(), "CLIENT", "PAUSE", d.Milliseconds(), mode).Err(); err != nil {
				t.Fatal(err)
			}
			f.Elapse(d)
			count(s, kind, 1)
		}
		f.Await(5)
	}
	conclude(s, f.End("backend", "lost"), history.Terms{})
	mustSee(s, "stale write", s.End().Lost)
}

// TestS7RedisIsKilled: what it remembers depends on its persistence. With fsync
// always, every lease: nothing may go wrong. Without persistence, none, and with an
// fsync every second, none of up to a second, if the machine dies with it: second
// holders are what is declared, and the fenced store is what is left. If the
// process dies and the machine does not, it has mostly written what it has
// answered; not while an fsync is under way, which holds writes back.
func TestS7RedisIsKilled(t *testing.T) {
	t.Parallel()
	everysec := []string{"--appendonly", "yes", "--appendfsync", "everysec"}
	for _, c := range []struct {
		persistence string
		args        []string
		power       bool // the machine dies, too
		forgets     bool
		unsafe      bool // it must show it
	}{
		{persistence: "none", forgets: true, unsafe: true},
		{persistence: "everysec", args: everysec, forgets: true},
		{persistence: "power", args: everysec, power: true, forgets: true, unsafe: true},
		{persistence: "always", args: []string{"--appendonly", "yes", "--appendfsync", "always"}},
	} {
		t.Run(c.persistence, func(t *testing.T) {
			t.Parallel()
			s := scenario(t, "S7 "+c.persistence)
			s.Count(func(t *tally.Totals) { t.Unsafe = c.unsafe })
			const ttl = time.Second
			server := locktest.StartRedis(t, c.args...)
			work := under(ttl)
			work.Long, work.Keys = 50, 8
			f := fleet.Start(t, server, server.Addr(), 3, work, chosen(s))
			if c.forgets {
				f.Forgets(c.args != nil) // else it comes back empty
			}
			var forgot []history.Loss
			held := 0 // with proof, when Redis was killed
			for range size(2, 100) {
				var loss history.Loss
				if c.power {
					loss.From = losePower(t, f, server)
					held += f.Proven(loss.From)
					count(s, "power lost, persistence everysec", 1)
				} else {
					f.Elapse(f.Between(ttl/4, ttl))
					loss.From = fleet.Now()
					server.Kill()
					held += f.Proven(loss.From)
					count(s, "redis killed, persistence "+c.persistence, 1)
				}
				f.Elapse(f.Between(20*time.Millisecond, ttl/2))
				server.Restart()
				if loss.To = fleet.Now(); c.forgets {
					forgot = append(forgot, loss)
				}
				f.Await(5)
			}
			conclude(s, f.End("backend", "lost"), history.Terms{Forgot: forgot, Proof: ttl})
			mustSee(s, "holder when Redis was killed", held)
			if c.unsafe { // else the oracle is blind
				mustSee(s, "second holder, though Redis has forgotten leases", s.End().Doubles)
			}
		})
	}
}

// losePower kills a server that syncs its log every second, and the log loses what
// it got in the last quarter of a second to a second, as it may if the machine dies,
// too: a process that is killed leaves what it has written to the system. It returns
// when it was killed.
func losePower(t *testing.T, f *fleet.Fleet, server *locktest.Redis) time.Duration {
	t.Helper()
	const synced = time.Second
	f.Elapse(f.Between(0, synced/4))
	logs, err := filepath.Glob(filepath.Join(server.Dir(), "appendonlydir", "*.incr.aof"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("logs %q, %v", logs, err)
	}
	info, err := os.Stat(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	f.Elapse(f.Between(synced/4, synced))
	killed := fleet.Now()
	server.Kill()
	if err := os.Truncate(logs[0], info.Size()); err != nil {
		t.Fatal(err)
	}
	return killed
}
