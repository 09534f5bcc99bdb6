package core_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// documentedRights returns the ACL lines of the package documentation: for a
// server, for Sentinels and for a server of a cluster.
func documentedRights(t *testing.T) (server, sentinel, cluster []any) {
	t.Helper()
	text := string(must[[]byte](t)(os.ReadFile("doc.go")))
	var lines [][]any
	for _, block := range strings.Split(text, "//\tACL SETUSER ")[1:] {
		block, _, _ = strings.Cut(block, "\n//\n")
		lines = append(lines, words("ACL SETUSER "+strings.ReplaceAll(block, "//", "")))
	}
	if len(lines) != 3 {
		t.Fatalf("%d ACL lines in doc.go, want 3", len(lines))
	}
	return lines[0], lines[1], lines[2]
}

func TestTheDocumentedRightsAreThoseThatAreChecked(t *testing.T) {
	server, _, cluster := documentedRights(t)
	for name, c := range map[string]struct {
		documented []any
		checked    []string
	}{
		"server":  {server, backend.Rights("latchkey", false)},
		"cluster": {cluster, backend.Rights("latchkey", true)},
	} {
		want := words("ACL SETUSER locks on >password resetkeys resetchannels -@all " + strings.Join(c.checked, " "))
		if got := c.documented; !sameWords(got, want) {
			t.Errorf("%s: documented\n%q, checked\n%q", name, got, want)
		}
	}
}

func sameWords(a, b []any) bool {
	sorted := func(words []any) []string {
		var s []string
		for _, w := range words {
			s = append(s, w.(string))
		}
		slices.Sort(s)
		return s
	}
	return slices.Equal(sorted(a), sorted(b))
}

// restricted starts a server with a user of just these rights, and returns it
// with a client that may do everything.
func restricted(t *testing.T, line []any) (*locktest.Redis, *redis.Client) {
	t.Helper()
	srv := locktest.StartRedis(t)
	return srv, allow(t, srv.Client(nil), line)
}

// asLocks returns options of a client that is the documented user.
func asLocks() *redis.Options {
	return &redis.Options{Username: "locks", Password: "password", DisableIdentity: true, ContextTimeoutEnabled: true}
}

// refusals returns what the server's ACL has refused, without what go-redis does
// when it connects.
func refusals(t *testing.T, admin *redis.Client) (refused []string) {
	t.Helper()
	for _, e := range must[[]*redis.ACLLogEntry](t)(admin.ACLLog(t.Context(), 100).Result()) {
		if !strings.HasPrefix(e.Object, "client|") && e.Object != "client" {
			refused = append(refused, e.Reason+" "+e.Object+" of "+e.Username)
		}
	}
	return refused
}

func TestTheWholeLifeOfLocksUnderTheDocumentedRights(t *testing.T) {
	t.Parallel()
	line, _, _ := documentedRights(t)
	for name, o := range map[string]*redis.Options{
		"quiet client":   asLocks(),
		"RESP2":          {Username: "locks", Password: "password", DisableIdentity: true, Protocol: 2},
		"default client": {Username: "locks", Password: "password"},
	} {
		t.Run(name, func(t *testing.T) {
			srv, admin := restricted(t, line)
			client := func() *redis.Client {
				o := *o
				if o.Addr = srv.Addr(); name == "default client" {
					rdb := redis.NewClient(&o) // locktest's own is quieter
					t.Cleanup(func() { rdb.Close() })
					return rdb
				}
				return srv.Client(&o)
			}
			liveALocksLife(t, newLocker(t, client()), newLocker(t, client()), admin)
		})
	}
}

func TestTheWholeLifeOfLocksUnderTheDocumentedRightsOnACluster(t *testing.T) {
	t.Parallel()
	_, _, line := documentedRights(t)
	c := locktest.StartCluster(t, 3, 0)
	var nodes []*redis.Client
	for _, n := range c.Nodes() {
		nodes = append(nodes, allow(t, n.Client(nil), line))
	}
	client := func() *redis.ClusterClient {
		return c.Client(&redis.ClusterOptions{Username: "locks", Password: "password", DisableIdentity: true})
	}
	liveALocksLife(t, newLocker(t, client()), newLocker(t, client()), nodes...)
}

func TestTheWholeLifeOfLocksUnderTheDocumentedRightsWithSentinels(t *testing.T) {
	t.Parallel()
	line, sentinelLine, _ := documentedRights(t)
	s := locktest.StartSentinel(t, 1)
	var servers, sentinels []*redis.Client
	for _, srv := range s.Servers() {
		servers = append(servers, allow(t, srv.Client(nil), line))
	}
	for _, addr := range s.SentinelAddrs() {
		rdb := redis.NewClient(&redis.Options{Addr: addr})
		t.Cleanup(func() { rdb.Close() })
		sentinels = append(sentinels, allow(t, rdb, sentinelLine))
	}
	client := func() *redis.Client {
		return s.Client(&redis.FailoverOptions{
			SentinelUsername: "finder", SentinelPassword: "password",
			Username: "locks", Password: "password", DisableIdentity: true,
		})
	}
	a, b := newLocker(t, client()), newLocker(t, client())
	liveALocksLife(t, a, b, servers...)
	s.Failover()
	for _, l := range []*core.RedisLocker{a, b} {
		eventually(t, "the new master is found", func() bool {
			return l.Do(t.Context(), "k", func(context.Context) error { return nil }) == nil
		})
		if err := l.Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for _, admin := range append(servers, sentinels...) {
		if r := refusals(t, admin); len(r) != 0 {
			t.Errorf("the ACL has refused %q", r)
		}
	}
}

// allow has a server carry out the documented line, and returns its client.
func allow(t *testing.T, admin *redis.Client, line []any) *redis.Client {
	t.Helper()
	if err := admin.Do(t.Context(), line...).Err(); err != nil {
		t.Fatalf("%v: %v", line, err)
	}
	return admin
}

// liveALocksLife has two Lockers, as in two processes, do all that locks do.
func liveALocksLife(t *testing.T, a, b *core.RedisLocker, servers ...*redis.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, l := range []*core.RedisLocker{a, b} {
		if err := l.Check(ctx); err != nil {
			t.Fatal(err)
		}
	}

	// Another process gets in line, and gives up.
	const ttl = 3 * time.Second
	held := must[core.Lock](t)(a.Acquire(ctx, "k", core.TTL(ttl)))
	brief, giveUp := context.WithCancel(ctx)
	gaveUp := make(chan error, 1)
	go func() {
		_, err := b.Acquire(brief, "k")
		gaveUp <- err
	}()
	eventually(t, "another process waits", func() bool { return queued(ctx, servers) == 1 })
	giveUp()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Fatalf("a wait that was given up: %v", err)
	}
	eventually(t, "it has left", func() bool { return queued(ctx, servers) == 0 })

	// It gets in line again, and is told of its grant by a message, while the
	// holder renews its lease.
	granted := make(chan core.Lock, 1)
	go func() {
		lock, err := b.Acquire(ctx, "k", core.TTL(time.Minute))
		if err != nil {
			t.Error(err)
		}
		granted <- lock // nil if there is none
	}()
	eventually(t, "another process waits", func() bool { return queued(ctx, servers) == 1 })
	select {
	case <-held.Context().Done():
		t.Fatalf("lost: %v", context.Cause(held.Context()))
	case <-time.After(ttl * 3 / 2): // nothing happens, which is what is tested
	}
	if err := held.Release(ctx); err != nil {
		t.Fatal(err)
	}
	released := time.Now()
	lock := <-granted
	if lock == nil {
		t.FailNow()
	}
	if d := time.Since(released); d > 3*time.Second { // polls are 5 s apart
		t.Errorf("the grant took %v: by a poll, not by a message?", d)
	}

	// The scripts are loaded again.
	for _, admin := range servers {
		if err := admin.ScriptFlush(ctx).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := lock.Release(ctx); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"k", "l", "m", "n"} { // on one server or another
		if err := a.Do(ctx, key, func(context.Context) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	for _, admin := range servers {
		if r := refusals(t, admin); len(r) != 0 {
			t.Errorf("the ACL has refused %q", r)
		}
	}
}

// queued counts who waits for a key in Redis. Replicas count the same ones.
func queued(ctx context.Context, servers []*redis.Client) (n int64) {
	for _, admin := range servers {
		for _, k := range admin.Keys(ctx, "*:q:*").Val() {
			n = max(n, admin.ZCard(ctx, k).Val())
		}
	}
	return n
}

func TestEachRightThatIsMissingIsNamed(t *testing.T) {
	line, _, _ := documentedRights(t)
	srv, admin := restricted(t, line)
	for i, word := range line {
		right := word.(string)
		if !strings.ContainsAny(right[:1], "+~&") {
			continue
		}
		t.Run(right, func(t *testing.T) {
			without := slices.Delete(slices.Clone(line), i, i+1)
			without = slices.Insert(without, 3, any("reset"))
			if err := admin.Do(t.Context(), without...).Err(); err != nil {
				t.Fatal(err)
			}
			l := newLocker(t, srv.Client(asLocks()))
			kind := core.FaultRights
			if right == "+info" {
				kind = core.FaultUnchecked
			}
			err := l.Check(t.Context())
			f := wantFaults(t, err, kind).Faults[0]
			if !slices.Equal(f.Rights, []string{right}) || !strings.Contains(f.Remedy, "ACL SETUSER locks "+right) {
				t.Errorf("rights %q, remedy %q; want %s", f.Rights, f.Remedy, right)
			}
			if !errors.Is(err, core.ErrUnfit) || errors.Is(err, core.ErrBackend) {
				t.Errorf("matches other than ErrUnfit: %v", err)
			}
			eventually(t, "nothing is left behind", func() bool { return admin.DBSize(t.Context()).Val() == 0 })

			if err := admin.Do(t.Context(), words(f.Remedy)...).Err(); err != nil {
				t.Fatalf("%s: %v", f.Remedy, err)
			}
			wantFaults(t, l.Check(t.Context()))
		})
	}
}

func TestAllRightsThatAreMissingAreNamedAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		rights string
		want   []string
	}{
		"commands": {
			"+ping +info +eval +evalsha +time +get +set +pubsub|numsub +publish +subscribe ~latchkey:* &latchkey:*",
			[]string{"+del", "+exists", "+pexpire", "+pttl", "+setrange", "+zadd", "+zcard", "+zrange", "+zrank", "+zrem", "+zscore"},
		},
		"nothing is allowed":    {"", []string{"+ping", "+info", "+evalsha", "+eval", "+subscribe"}},
		"keys may only be read": {"+@all %R~latchkey:* &latchkey:*", []string{"~latchkey:*"}},
		"another prefix":        {"+@all ~other:* &other:*", []string{"~latchkey:*", "&latchkey:*"}},
		"no queues":             {"+@all -publish ~latchkey:{*}:l:* ~latchkey:{*}:fence &latchkey:*", []string{"~latchkey:*", "+publish"}},
	} {
		t.Run(name, func(t *testing.T) {
			srv, admin := restricted(t, words("ACL SETUSER locks on >password resetkeys resetchannels -@all "+c.rights))
			l := newLocker(t, srv.Client(asLocks()))
			var rights []string
			e, _ := errors.AsType[*core.CheckError](l.Check(t.Context()))
			if e == nil {
				t.Fatal("no fault")
			}
			for _, f := range e.Faults {
				rights = append(rights, f.Rights...)
			}
			slices.Sort(rights)
			slices.Sort(c.want)
			if !slices.Equal(rights, c.want) {
				t.Errorf("rights %q, want %q", rights, c.want)
			}
			for _, f := range e.Faults {
				if err := admin.Do(t.Context(), words(f.Remedy)...).Err(); err != nil {
					t.Fatalf("%s: %v", f.Remedy, err)
				}
			}
			wantFaults(t, l.Check(t.Context()))
		})
	}
}

func TestTheRightsOfTheClientsOwnOptionsAreNamed(t *testing.T) {
	line, _, _ := documentedRights(t)
	for right, set := range map[string]func(*redis.Options){
		"+select":         func(o *redis.Options) { o.DB = 3 },
		"+client|setname": func(o *redis.Options) { o.ClientName = "shop" },
	} {
		t.Run(right, func(t *testing.T) {
			srv, admin := restricted(t, line)
			o := asLocks()
			set(o)
			l := newLocker(t, srv.Client(o))
			f := wantFaults(t, l.Check(t.Context()), core.FaultRights).Faults[0]
			if !slices.Equal(f.Rights, []string{right}) {
				t.Errorf("rights %q, want %s", f.Rights, right)
			}
			if err := admin.Do(t.Context(), words(f.Remedy)...).Err(); err != nil {
				t.Fatal(err)
			}
			wantFaults(t, l.Check(t.Context()))
		})
	}
}

func TestTheRightToWaitForReplicasIsNeededForReplicaAck(t *testing.T) {
	t.Parallel()
	line, _, _ := documentedRights(t)
	srv, admin := restricted(t, line)
	client := srv.Client(asLocks())
	l := newLocker(t, client, core.ReplicaAck(1, time.Second))
	if err := admin.ConfigSet(t.Context(), "repl-diskless-sync-delay", "0").Err(); err != nil {
		t.Fatal(err)
	}
	locktest.StartRedis(t, "--replicaof", strings.ReplaceAll(srv.Addr(), ":", " "))
	eventually(t, "the replica acknowledges", func() bool { return admin.Wait(t.Context(), 1, time.Second).Val() == 1 })
	wantFaults(t, newLocker(t, client).Check(t.Context()))
	f := wantFaults(t, l.Check(t.Context()), core.FaultRights).Faults[0]
	if !slices.Equal(f.Rights, []string{"+wait"}) {
		t.Fatalf("rights %q, want +wait", f.Rights)
	}
	if err := admin.Do(t.Context(), words(f.Remedy)...).Err(); err != nil {
		t.Fatal(err)
	}
	wantFaults(t, l.Check(t.Context()))
	if err := l.Do(t.Context(), "k", func(context.Context) error { return nil }); err != nil {
		t.Error(err)
	}
	wantFaults(t, newLocker(t, client, core.ReplicaAck(2, time.Second)).Check(t.Context()), core.FaultReplicas)
}

func TestAPrefixThatIsAPatternIsGrantedByTheRemedy(t *testing.T) {
	srv, admin := restricted(t, words("ACL SETUSER locks on >password resetkeys resetchannels +@all"))
	for _, prefix := range []string{"a*b", "a?[b]", `a\b`, "a b", "läden"} {
		l := newLocker(t, srv.Client(asLocks()), core.Prefix(prefix))
		f := wantFaults(t, l.Check(t.Context()), core.FaultRights).Faults[0]
		if err := admin.Do(t.Context(), words(f.Remedy)...).Err(); err != nil {
			t.Fatal(err)
		}
		wantFaults(t, l.Check(t.Context()))
	}
}
