package backend_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// listening is on a real cluster whose first three nodes are its masters, at first.
func listening(t *testing.T, c *locktest.Cluster) {
	nodes := c.Nodes()
	scene(t, c, "the ears of one node share a connection, and the last closes it", func(s *clusterStage) {
		near, far := s.keys(nodes[0].Addr(), 5), s.keys(nodes[1].Addr(), 2)
		m := s.join(append(near, far...)...)
		if a, b, c := s.connections(nodes[0]), s.connections(nodes[1]), s.connections(nodes[2]); a != 1 || b != 1 || c != 0 {
			s.Errorf("%d, %d and %d connections, want 1, 1 and none", a, b, c)
		}
		m.wantNoted(near[4])
		m.wantGranted(far[1])
		for _, key := range near[:4] {
			m.shut(s.subscription(key))
		}
		eventually(s, "the subscriptions end", func() bool { return s.subscribers(nodes[0], m, near[3]) == 0 })
		m.wantGranted(near[4])
		m.wantTold(near[4], "up")
		m.Shut(s.subscription(near[4]))
		eventually(s, "the connection is closed", func() bool { return s.connections(nodes[0]) == 0 })
		if n := s.connections(nodes[1]); n != 1 {
			s.Errorf("%d connections to the other node", n)
		}
		m.Close()
		eventually(s, "that one, too", func() bool { return s.connections(nodes[1]) == 0 })
	})

	for _, beside := range []bool{false, true} {
		name := "an ear that is shut and opened again is up without having been down" + map[bool]string{true: ", beside another"}[beside]
		scene(t, c, name, func(s *clusterStage) {
			keys := s.keys(nodes[1].Addr(), 3)
			one, other := s.subscription(keys[0]), s.subscription(keys[1])
			m := s.join(keys[0])
			if beside {
				m.up(s, s.subscription(keys[2])) // which keeps the connection
			}
			for range 50 {
				m.shut(one)
				m.up(s, other)
				m.shut(other)
				m.up(s, one)
				m.shut(one)
				m.Open(one)
				m.Open(other)
				m.shut(other)
				eventually(s, "it is up", func() bool { return m.active(one) })
			}
			m.wantGranted(keys[0])
			for _, key := range keys {
				for _, text := range m.of(s.subscription(key)) {
					if text != "up" {
						s.Errorf("%s: %s", key, text)
					}
				}
			}
		})
	}

	scene(t, c, "an ear follows its slot, and leaves the others where they are", func(s *clusterStage) {
		keys := s.keys(nodes[0].Addr(), 3)
		m := s.join(keys...)
		target := c.MoveSlot(s.fence(keys[1]))
		eventually(s, "it is back", func() bool { return len(m.of(s.subscription(keys[1]))) > 2 && m.active(s.subscription(keys[1])) })
		m.wantGranted(keys[1])
		m.wantNoted(keys[0])
		m.wantTold(keys[0], "up")
		m.wantTold(keys[1], "up", "down", "up")
		m.wantTold(keys[2], "up")
		if n := s.subscribers(target, m, keys[1]); n != 1 {
			s.Errorf("%d subscriptions at the new node", n)
		}
	})

	// The handler is at work, and what the node says is not read.
	scene(t, c, "an ear that follows its slot before the node tells leaves the others where they are", func(s *clusterStage) {
		keys := s.keys(nodes[1].Addr(), 3)
		m := s.join(keys...)
		s.warm(keys...)
		goesOn := m.keepBusy(s)
		mine := m.entry()
		s.must(backend.Granted, s.acquire(keys[0], mine))
		const notes = 20
		for range notes {
			s.must(backend.Waiting, s.acquire(keys[0], acquirer()))
		}
		target := c.MoveSlot(s.fence(keys[1]))
		eventually(s, "the room knows the new node", func() bool {
			s.tap.forget()
			s.cycle(keys[1])
			return s.tap.seen()[0].addr == target.Addr()
		})
		eventually(s, "it is at the new node", func() bool {
			select {
			case goesOn <- struct{}{}: // now it follows, or the next note is told of
			default:
			}
			return s.subscribers(target, m, keys[1]) == 1
		})
		close(goesOn)
		for range notes {
			receive(s, m.notes)
		}
		eventually(s, "it is back", func() bool { return len(m.of(s.subscription(keys[1]))) > 2 && m.active(s.subscription(keys[1])) })
		m.wantGranted(keys[1])
		m.wantNoted(keys[2])
		m.wantTold(keys[1], "up", "down", "up")
		m.wantTold(keys[0], "up")
		m.wantTold(keys[2], "up")
	})

	scene(t, c, "an ear that is shut just when its slot moves leaves the others where they are", func(s *clusterStage) {
		keys := s.keys(nodes[0].Addr(), 2)
		m := s.join(keys...)
		goesOn := m.keepBusy(s)
		s.must(backend.Granted, s.acquire(keys[0], m.entry()))
		s.must(backend.Waiting, s.acquire(keys[0], acquirer()))
		refused := func() string {
			stats := ok(s.node(nodes[0]).InfoMap(s.Context(), "commandstats").Result())(s)["Commandstats"]["cmdstat_sunsubscribe"]
			_, n, _ := strings.Cut(stats, "rejected_calls=")
			return n
		}
		before := refused()
		c.MoveSlot(s.fence(keys[1]))
		m.Shut(s.subscription(keys[1]))
		eventually(s, "the node refuses to end what it has ended", func() bool { return refused() != before })
		close(goesOn)
		receive(s, m.notes)
		m.wantNoted(s.sibling(keys[0]))
		m.wantTold(keys[0], "up")
		m.wantTold(keys[1], "up")
	})

	// It takes subscriptions, and nobody who publishes at the new master reaches
	// them. The client learns late who that is.
	outdated := newAtlas(c)
	sceneWith(t, c, "an ear leaves a master that lives on as a replica", &redis.ClusterOptions{ClusterSlots: outdated.slots}, func(s *clusterStage) {
		_, port, _ := net.SplitHostPort(nodes[2].Addr())
		keys := s.keys(":"+port, 2) // how the client says it
		m := s.join(keys...)
		s.warm(keys...)
		outdated.freeze(true)
		successor := c.Failover(s.fence(keys[0]))
		eventually(s, "they are at the old master again", func() bool {
			return len(m.of(s.subscription(keys[0]))) > 2 && len(m.of(s.subscription(keys[1]))) > 2 && m.active(s.subscriptions(keys)...)
		})
		if n := s.subscribers(nodes[2], m, keys[0]); n != 1 || s.subscribers(successor, m, keys[0]) != 0 {
			s.Fatalf("%d at the old master", n)
		}
		m.forget()
		outdated.freeze(false)
		s.cycle(keys[0]) // the poll of somebody who waits
		eventually(s, "they are at the new master", func() bool {
			return s.subscribers(successor, m, keys[0]) == 1 && s.subscribers(successor, m, keys[1]) == 1
		})
		eventually(s, "they are up", func() bool {
			return len(m.of(s.subscription(keys[0]))) > 1 && len(m.of(s.subscription(keys[1]))) > 1 && m.active(s.subscriptions(keys)...)
		})
		m.wantGranted(keys[0])
		m.wantGranted(keys[1])
		for _, key := range keys {
			m.wantTold(key, "down", "up")
		}
		eventually(s, "the old master is rid of the connection", func() bool { return s.connections(nodes[2]) == 0 })
	})

	scene(t, c, "all ears are up again after all connections were killed under load", func(s *clusterStage) {
		var keys []string
		for i := range 64 {
			keys = append(keys, fmt.Sprint("load/", i))
		}
		m := s.join(keys...)
		over := make(chan struct{})
		var working sync.WaitGroup
		for _, key := range keys[:16] {
			working.Go(func() {
				for {
					select {
					case <-over:
						return
					default:
						s.cycle(key + "!") // of another bucket, most likely
					}
				}
			})
		}
		for range 5 {
			m.forget()
			err := s.rdb.ForEachMaster(s.Context(), func(ctx context.Context, node *redis.Client) error {
				return node.ClientKillByFilter(ctx, "TYPE", "pubsub").Err()
			})
			if err != nil {
				s.Fatal(err)
			}
			eventually(s, "all were down, and are up", func() bool {
				for _, e := range s.subscriptions(keys) {
					if len(m.of(e)) < 2 {
						return false
					}
				}
				return m.active(s.subscriptions(keys)...)
			})
		}
		close(over)
		working.Wait()
		for _, n := range nodes {
			if k := s.connections(n); k > 1 {
				s.Errorf("%d connections to a node", k)
			}
		}
	})

	scene(t, c, "an ear that may not listen is told so, and the others are left alone", func(s *clusterStage) {
		keys := s.keys(s.at("any"), 24)
		be := backend.New(c.Client(&redis.ClusterOptions{Username: "poor", Password: "any"}), prefix+"poor")
		defer closeBackend(s.T, be)
		acl := func(args ...any) {
			s.Helper()
			for _, n := range nodes {
				if err := s.node(n).Do(s.Context(), append([]any{"ACL", "SETUSER", "poor"}, args...)...).Err(); err != nil {
					s.Fatal(err)
				}
			}
		}
		acl("on", "nopass", "~*", "+@all", "resetchannels")
		p := backend.NewProcess()
		var rights []any
		for i := 0; i < len(keys); i += 2 {
			rights = append(rights, "&"+be.ChannelOf(s.subscription(keys[i]), p))
		}
		acl(rights...)
		e := openSubscriptions(s, be, p)
		all := s.subscriptions(keys)
		for _, n := range all {
			e.Open(n)
		}
		eventually(s, "half are up, and the others were tried again", func() bool {
			for i, n := range all {
				if i%2 == 0 && !e.active(n) || i%2 == 1 && len(e.of(n)) < 3 {
					return false
				}
			}
			return true
		})
		for i, n := range all {
			for _, text := range e.of(n) {
				if may := i%2 == 0; may != (text == "up") || !may && !strings.HasPrefix(text, "NOPERM") {
					s.Errorf("ear %d: %s", i, text)
				}
			}
		}
		acl("allchannels")
		eventually(s, "all are up", func() bool { return e.active(all...) })
		if told := e.of(all[0]); len(told) != 1 {
			s.Errorf("the first: %q", told)
		}
	})

	sceneWith(t, c, "a client that reads from replicas listens and locks on masters", &redis.ClusterOptions{ReadOnly: true, RouteByLatency: true}, func(s *clusterStage) {
		var keys []string
		for i := range 16 {
			keys = append(keys, fmt.Sprint("read/", i))
		}
		m := s.join(keys...)
		for _, key := range keys {
			m.wantGranted(key)
		}
		masters := make(map[string]bool)
		for _, key := range keys {
			masters[s.at(key)] = true
			if n := s.subscribers(c.Master(s.fence(key)), m, key); n != 1 {
				s.Errorf("%d subscriptions at its master", n)
			}
		}
		for _, call := range s.tap.seen() {
			if !masters[call.addr] {
				s.Errorf("%+v is no master", call)
			}
		}
	})

	scene(t, c, "a node that hangs makes its ears deaf, and no others", func(s *clusterStage) {
		victim := c.Master(s.fence("any"))
		keys := s.keys(victim.Addr(), 2)
		other := "else/0"
		for i := 1; s.at(other) == victim.Addr(); i++ {
			other = fmt.Sprint("else/", i)
		}
		m := s.join(append(keys, other)...)
		victim.Stop()
		eventually(s, "its ears are down", func() bool { return !m.active(s.subscription(keys[0])) && !m.active(s.subscription(keys[1])) })
		// A listener of its own is stuck in connecting.
		closing := openSubscriptions(s, s.be, backend.NewProcess())
		closing.Open(s.subscription(keys[0]))
		start := time.Now()
		closing.Close()
		if d := time.Since(start); d > time.Second {
			s.Errorf("Close took %v", d)
		}
		victim.Continue()
		eventually(s, "they are up", func() bool { return m.active(s.subscriptions(keys)...) })
		m.wantTold(other, "up")
	})
}

// Nothing is known of the cluster, and nobody tells.
func TestListenerClosesWhileTheClientLooksForTheNodes(t *testing.T) {
	inFakeCluster(t, func(f *fakeCluster) {
		told := make(chan struct{})
		f.lookingUp(func() error { <-told; return nil })
		e := openSubscriptions(f, f.be, backend.NewProcess())
		e.Open(7)
		synctest.Wait()
		start := time.Now()
		e.Close()
		if d := time.Since(start); d > time.Second {
			f.Errorf("Close took %v", d)
		}
		close(told)
		pause(time.Second)
		if told := e.of(7); len(told) > 0 {
			f.Errorf("told after Close: %q", told)
		}
	})
}

// A subscription that is told to be up and then that it was down would be deaf for ever.
func TestSubscriptionsAreToldInTheOrderInWhichItHappens(t *testing.T) {
	here, there := onMini(t), onMini(t)
	e := openSubscriptions(t, here.be, backend.NewProcess())
	e.up(t, 0)
	over := make(chan struct{})
	var others, sessions sync.WaitGroup
	for range 2 {
		others.Go(func() { // who have the handler called
			for {
				select {
				case <-over:
					return
				default:
					e.Call()
				}
			}
		})
	}
	for i := range 25 {
		e.Move(0, []*redis.Client{there.rdb, here.rdb}[i%2], &sessions)
		eventually(t, "it is up", func() bool { return len(e.of(0)) >= 2*i+3 })
	}
	close(over)
	others.Wait()
	for i, text := range e.of(0) {
		if (text == "up") != (i%2 == 0) {
			t.Fatalf("%d: %q after %q", i, text, e.of(0)[i-1])
		}
	}
	e.Close()
	sessions.Wait()
}
