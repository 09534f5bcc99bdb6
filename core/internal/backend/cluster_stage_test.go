package backend_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// clusterStage is a Redis Cluster and a backend on it. Its subtests share the
// cluster, and each has a client and a backend of its own.
type clusterStage struct {
	*testing.T
	*locktest.Cluster
	tap *tap
	rdb *redis.ClusterClient
	be  *backend.Backend
}

// scenes is how many there were: each has names of its own in Redis.
var scenes atomic.Int64

// scene runs one subtest with a client and a backend of its own.
func scene(t *testing.T, c *locktest.Cluster, name string, test func(s *clusterStage)) {
	sceneWith(t, c, name, nil, test)
}

func sceneWith(t *testing.T, c *locktest.Cluster, name string, opts *redis.ClusterOptions, test func(s *clusterStage)) {
	t.Run(name, func(t *testing.T) {
		s := &clusterStage{T: t, Cluster: c, tap: &tap{}, rdb: c.Client(opts)}
		s.rdb.OnNewNode(s.tap.attach)
		s.be = backend.New(s.rdb, fmt.Sprint(prefix, scenes.Add(1)))
		t.Cleanup(func() {
			s.tap.via(nil)
			closeBackend(t, s.be)
		})
		test(s)
	})
}

// fence is what the counter of key's bucket is called: a Redis key in its slot.
func (s *clusterStage) fence(key string) string {
	_, _, fence := s.be.Names(key).Parts()
	return fence
}

// at is the address of key's master, by what the client knows.
func (s *clusterStage) at(key string) string {
	s.Helper()
	return ok(s.rdb.MasterForKey(s.Context(), s.fence(key)))(s).Options().Addr
}

// keys returns n keys in buckets of their own whose master is at that address.
func (s *clusterStage) keys(addr string, n int) []string {
	s.Helper()
	var keys []string
	taken := make(map[backend.SubscriptionID]bool)
	for i := 0; len(keys) < n; i++ {
		if i == 1<<20 {
			s.Fatalf("%d buckets of %d at %s", len(keys), n, addr)
		}
		key := fmt.Sprint("key/", i)
		if e := s.subscription(key); !taken[e] && s.at(key) == addr {
			taken[e] = true
			keys = append(keys, key)
		}
	}
	return keys
}

// sibling is another key in the bucket of key.
func (s *clusterStage) sibling(key string) string {
	for i := 0; ; i++ {
		if other := fmt.Sprint(key, "/", i); s.subscription(other) == s.subscription(key) {
			return other
		}
	}
}

func (s *clusterStage) key(n *locktest.Redis) string { s.Helper(); return s.keys(n.Addr(), 1)[0] }

func (s *clusterStage) subscription(key string) backend.SubscriptionID {
	return s.be.SubscriptionOf(s.be.Names(key))
}

// node is a client of one node, which follows nobody.
func (s *clusterStage) node(n *locktest.Redis) *redis.Client {
	return n.Client(&redis.Options{MaxRetries: -1})
}

func (s *clusterStage) id(n *locktest.Redis) string {
	s.Helper()
	return ok(s.node(n).ClusterMyID(context.WithoutCancel(s.Context())).Result())(s)
}

// setSlot tells a node something about the slot of a Redis key.
func (s *clusterStage) setSlot(at *locktest.Redis, name string, args ...any) {
	s.Helper()
	ctx := context.WithoutCancel(s.Context())
	slot := ok(s.node(at).ClusterKeySlot(ctx, name).Result())(s)
	if err := s.node(at).Do(ctx, append([]any{"CLUSTER", "SETSLOT", slot}, args...)...).Err(); err != nil {
		s.Fatal(err)
	}
}

// begin has an operation carried out, and returns where its answer arrives. A
// second one makes the test fail.
func (s *clusterStage) begin(op backend.Op) <-chan backend.Answer {
	answers := make(chan backend.Answer, 1)
	s.be.Do(op, func(a backend.Answer) {
		select {
		case answers <- a:
		default:
			s.Errorf("answered twice: %+v", a)
		}
	})
	return answers
}

func (s *clusterStage) ask(op backend.Op) backend.Answer {
	s.Helper()
	return receive(s, s.begin(op))
}

// must carries an operation out that is to come to the given status.
func (s *clusterStage) must(want backend.Status, op backend.Op) backend.Answer {
	s.Helper()
	a := s.ask(op)
	if a.Err != nil || a.Reply.Status != want {
		s.Fatalf("%+v, want status %d", a, want)
	}
	return a
}

// acquire asks for the lease of key, ready to wait.
func (s *clusterStage) acquire(key string, e backend.Entry) backend.Op {
	return backend.Acquire(s.be.Names(key), e, true, manyMay)
}

func (s *clusterStage) release(key string, e backend.Entry, a backend.Answer) backend.Op {
	return backend.Release(s.be.Names(key), e.ID(), a.Reply.Tokens.First, a.Reply.Tokens.Last, "")
}

// cycle takes the lock of key and gives it back.
func (s *clusterStage) cycle(key string) {
	s.Helper()
	e := acquirer()
	a := s.must(backend.Granted, s.acquire(key, e))
	s.must(backend.Released, s.release(key, e, a))
}

// warm has every node carry something out, so that it knows the script, and the
// backend all buckets' places.
func (s *clusterStage) warm(keys ...string) {
	s.Helper()
	for _, k := range keys {
		s.cycle(k)
	}
	s.tap.forget()
}

// eventually waits for what happens soon.
func eventually(tb testing.TB, what string, is func() bool) {
	tb.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !is() {
		if time.Now().After(deadline) {
			tb.Fatalf("never: %s", what)
		}
		<-tick.C
	}
}

// tap is a hook of all nodes' clients: what a user's hook on OnNewNode sees.
type tap struct {
	mu     sync.Mutex
	calls  []call
	around func(addr string, cmds []redis.Cmder, next func() error) error
}

// call is a script call to one bucket, as a node's client made it.
type call struct {
	addr  string
	name  string // evalsha or eval
	ops   int
	piped int // how many calls travelled together
	err   error
}

func (p *tap) attach(node *redis.Client) { node.AddHook(nodeTap{p, node.Options().Addr}) }

// via has f decide what becomes of what is sent from now on; nil lets it pass.
func (p *tap) via(f func(addr string, cmds []redis.Cmder, next func() error) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.around = f
}

func (p *tap) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = nil
}

// seen returns the calls since forget.
func (p *tap) seen() []call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]call(nil), p.calls...)
}

func (p *tap) pass(addr string, cmds []redis.Cmder, next func() error) error {
	p.mu.Lock()
	around := p.around
	p.mu.Unlock()
	var err error
	if around == nil || !scripted(cmds) {
		err = next()
	} else {
		err = around(addr, cmds, next)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range cmds {
		if c.Name() != "evalsha" && c.Name() != "eval" {
			continue
		}
		n, _ := c.Args()[2].(int)
		failure := c.Err()
		if len(cmds) == 1 {
			failure = err // the command is told later
		}
		p.calls = append(p.calls, call{addr, c.Name(), n / 3, len(cmds), failure})
	}
	return err
}

func scripted(cmds []redis.Cmder) bool {
	last := cmds[len(cmds)-1].Name() // the first may be ASKING
	return last == "evalsha" || last == "eval"
}

// fail is what a client does with a call that went wrong.
func fail(cmds []redis.Cmder, err error) error {
	for _, c := range cmds {
		c.SetErr(err)
	}
	return err
}

var errCut = errors.New("the connection was cut")

type nodeTap struct {
	*tap
	addr string
}

var _ redis.Hook = nodeTap{}

func (n nodeTap) DialHook(next redis.DialHook) redis.DialHook { return next }

func (n nodeTap) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return n.pass(n.addr, []redis.Cmder{cmd}, func() error { return next(ctx, cmd) })
	}
}

func (n nodeTap) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return n.pass(n.addr, cmds, func() error { return next(ctx, cmds) })
	}
}
