package backend_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// Redis 6 is not there to be tried.
func TestAnAcquireSaysThatAServerIsTooOld(t *testing.T) {
	onBoth(t, func(s *stage) {
		s.be.Old()
		_, err := s.ask(s.acquire(newProcess(s).entry("")))
		e, ok := errors.AsType[*backend.ScriptError](err)
		if !ok || !strings.Contains(e.Text, "Redis 7.0 or newer is needed") {
			t.Errorf("%v", err)
		}
		s.wantNoLease()
	})
}

// oneServerCluster starts a cluster of one server, with a user of just these
// rights, and returns a client as that user and one that may do everything.
func oneServerCluster(t *testing.T, rights ...string) (locks *redis.ClusterClient, admin *redis.Client) {
	t.Helper()
	srv := locktest.StartRedis(t, "--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1")
	admin = srv.Client(nil)
	if err := admin.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(ok(admin.ClusterInfo(t.Context()).Result())(t), "cluster_state:ok") {
		if t.Context().Err() != nil {
			t.Fatal("the cluster does not get up")
		}
	}
	grant(t, admin, rights...)
	locks = redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{srv.Addr()}, Username: "locks", Password: "password", DisableIdentity: true,
	})
	t.Cleanup(func() { locks.Close() })
	return locks, admin
}

// grant gives the user of the locks just these rights.
func grant(t *testing.T, admin *redis.Client, rights ...string) {
	t.Helper()
	line := []any{"ACL", "SETUSER", "locks", "reset", "on", ">password"}
	for _, r := range rights {
		line = append(line, r)
	}
	if err := admin.Do(t.Context(), line...).Err(); err != nil {
		t.Fatal(err)
	}
}

func checkOf(t *testing.T, rdb redis.UniversalClient) []backend.Fault {
	t.Helper()
	be := backend.New(rdb, prefix)
	defer closeBackend(t, be)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return be.Check(ctx)
}

func TestARightThatIsMissingOnAClusterIsNamed(t *testing.T) {
	all := backend.Rights(prefix, true)
	locks, admin := oneServerCluster(t, all...)
	if faults := checkOf(t, locks); len(faults) != 0 {
		t.Fatalf("with all rights: %+v", faults)
	}
	if log := ok(admin.ACLLog(t.Context(), 10).Result())(t); len(log) != 0 {
		for _, e := range log {
			if !strings.HasPrefix(e.Object, "client|") {
				t.Errorf("with all rights the ACL has refused %s %s", e.Reason, e.Object)
			}
		}
	}
	for i, right := range all {
		grant(t, admin, slices.Delete(slices.Clone(all), i, i+1)...)
		// Another client: one that knows the cluster asks for it again much later.
		fresh := redis.NewClusterClient(locks.Options())
		faults := checkOf(t, fresh)
		fresh.Close()
		if len(faults) != 1 || !slices.Equal(faults[0].Rights, []string{right}) {
			t.Errorf("without %s: %+v", right, faults)
			continue
		}
		if want := "ACL SETUSER locks " + right; !strings.HasPrefix(faults[0].Remedy, want) {
			t.Errorf("remedy %q, want %q", faults[0].Remedy, want)
		}
	}
	// Where it may not delete what it has written, that expires.
	eventually(t, "nothing is left behind", func() bool { return ok(admin.DBSize(t.Context()).Result())(t) == 0 })
}

func TestAClusterClientOfAServerThatIsNoneIsAFault(t *testing.T) {
	srv := locktest.StartRedis(t)
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{srv.Addr()}})
	defer rdb.Close()
	faults := checkOf(t, rdb)
	if len(faults) != 1 || faults[0].Kind != backend.FaultCluster {
		t.Errorf("%+v", faults)
	}
}

func TestEachMasterOfAClusterIsAsked(t *testing.T) {
	a, b := locktest.StartRedis(t), locktest.StartRedis(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	slots := []redis.ClusterSlot{
		{Start: 0, End: 8191, Nodes: []redis.ClusterNode{{Addr: a.Addr()}}},
		{Start: 8192, End: 16383, Nodes: []redis.ClusterNode{{Addr: b.Addr()}}},
	}
	rdb := redis.NewClusterClient(&redis.ClusterOptions{
		ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) { return slots, nil },
	})
	defer rdb.Close()
	for _, want := range []int{1, 2} {
		faults := checkOf(t, rdb)
		if len(faults) != want {
			t.Fatalf("%d faults, want %d: %+v", len(faults), want, faults)
		}
		for _, f := range faults {
			switch {
			case strings.HasSuffix(f.Server, port(b)) && f.Kind == backend.FaultEviction:
			case strings.HasSuffix(f.Server, port(a)) && f.Kind == backend.FaultUnreachable && want == 2:
			default:
				t.Errorf("%+v", f)
			}
		}
		if want == 1 {
			a.Kill()
		}
	}
}

// port is what go-redis leaves of a loopback address that it is told by a
// cluster without one.
func port(srv *locktest.Redis) string {
	_, p, _ := strings.Cut(srv.Addr(), ":")
	return ":" + p
}

// A script of ours that is added has its commands in check.lua, too: see
// TestTheCheckTriesWhatTheScriptsDo. Those that make a key must not leave it.
func TestTheCheckMakesNoKeyThatLasts(t *testing.T) {
	s := onRedis(t)
	// The key is looked at before it is deleted.
	source := strings.Replace(backend.CheckSource(), "trial('DEL', name)\nreturn refused", "return redis.call('PTTL', name)", 1)
	left := ok(s.rdb.Eval(t.Context(), source, []string{s.lease}, "channel").Int())(t)
	if left < 0 || left > 1 {
		t.Errorf("it lives for %d ms, want 1 at the most", left)
	}
}
