package backend_test

import (
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// detourPatience is for how long an operation looks for its node.
const detourPatience = 2 * time.Second

// The client is called again beside the calls under way when it does not say where
// the slots are.
const (
	hedgePause = 100 * time.Millisecond
	maxHedges  = 8
)

// redirects are met on a real cluster whose first three nodes are its masters.
func redirects(t *testing.T, c *locktest.Cluster) {
	scene(t, c, "MOVED is followed at once, and is no repetition", func(s *clusterStage) {
		s.rdb.Options().ClusterStateReloadInterval = time.Hour
		key := s.key(c.Nodes()[0])
		s.warm(key)
		var before string
		for range 5 {
			before = s.at(key)
			c.MoveSlot(s.fence(key))
			s.tap.forget()
			a := s.must(backend.Granted, s.acquire(key, acquirer()))
			calls := s.tap.seen()
			if a.Repeated {
				s.Errorf("%+v: only the new node has done it", a)
			}
			if len(calls) == 1 && calls[0].addr != before {
				continue // the client has looked just then, and knew
			}
			// The client's knowledge may be as old as ours: then it asks there, too.
			// And all of it once more if the new node does not know the script.
			if n := len(calls); n < 2 || n > 6 || calls[0].addr != before || calls[n-1].addr == before {
				s.Errorf("%+v, want one to the old node, one to the new", calls)
			}
			break
		}
		eventually(s, "operations go to the new node straight away", func() bool {
			s.tap.forget()
			s.ask(s.acquire(key, acquirer()))
			calls := s.tap.seen()
			return len(calls) == 1 && calls[0].addr != before
		})
	})

	scene(t, c, "an operation is answered with the time at which it was sent to the node that did it", func(s *clusterStage) {
		key := s.key(c.Nodes()[0])
		s.warm(key)
		c.MoveSlot(s.fence(key))
		begun := time.Now()
		s.tap.via(func(_ string, cmds []redis.Cmder, next func() error) error {
			if len(s.tap.seen()) == 0 {
				eventually(s, "the first trip takes its time", func() bool { return time.Since(begun) > 50*time.Millisecond })
			}
			return next()
		})
		a := s.must(backend.Granted, s.acquire(key, acquirer()))
		if d := a.Sent.Sub(begun); a.Repeated || d < 50*time.Millisecond {
			s.Errorf("%+v: sent after %v, but the node that was asked first has done nothing", a, d)
		}
	})

	scene(t, c, "keys that are gone ahead are asked for where they are", func(s *clusterStage) {
		sp := s.split(c.Nodes()[1])
		owner := acquirer()
		s.must(backend.Granted, s.acquire(sp.key, owner))
		waiter := acquirer()
		s.must(backend.Waiting, s.acquire(sp.key, waiter))
		sp.begin()
		sp.move(sp.lease, sp.queue, sp.fence)
		s.tap.forget()
		a := s.must(backend.Waiting, s.acquire(sp.key, waiter))
		calls := s.tap.seen()
		if last := calls[len(calls)-1]; a.Repeated || last.addr != sp.target.Addr() || last.err != nil {
			s.Errorf("%+v by %+v", a, calls)
		}
		if a.Reply.Owner.ID() != owner.ID() {
			s.Errorf("%+v: the owner is not the one that went ahead", a.Reply)
		}
		sp.end()
	})

	scene(t, c, "an operation whose keys are split waits until they are together again", func(s *clusterStage) {
		sp := s.split(c.Nodes()[2])
		owner := acquirer()
		s.must(backend.Granted, s.acquire(sp.key, owner))
		sp.begin()
		sp.move(sp.lease)
		s.tap.forget()
		answer := s.begin(s.acquire(sp.key, acquirer()))
		eventually(s, "it is refused, again and again", func() bool {
			n := 0
			for _, c := range s.tap.seen() {
				if redis.IsTryAgainError(c.err) {
					n++
				}
			}
			return n >= 3
		})
		if len(answer) > 0 {
			s.Fatalf("answered: %+v", <-answer)
		}
		sp.move(sp.fence)
		sp.end()
		a := receive(s, answer)
		if a.Err != nil || a.Reply.Status != backend.Waiting || a.Reply.Owner.ID() != owner.ID() || a.Repeated {
			s.Errorf("%+v, want it to wait, not repeated", a)
		}
	})

	scene(t, c, "an operation whose keys stay split fails when its patience is over", func(s *clusterStage) {
		sp := s.split(c.Nodes()[0])
		near := s.keys(sp.source.Addr(), 3)
		s.must(backend.Granted, s.acquire(sp.key, acquirer()))
		sp.begin()
		sp.move(sp.lease)
		start := time.Now()
		answer := s.begin(s.acquire(sp.key, acquirer()))
		// The node's other buckets are not held up.
		for _, key := range near {
			if key != sp.key {
				s.cycle(key)
			}
		}
		if d := time.Since(start); d >= detourPatience {
			s.Errorf("others took %v", d)
		}
		a := receive(s, answer)
		if d := time.Since(start); !redis.IsTryAgainError(a.Err) || d < detourPatience || d > detourPatience+time.Second {
			s.Errorf("%+v after %v, want the server's word after %v", a, d, detourPatience)
		}
		if err := s.be.Down(s.be.Names(sp.key)); err != nil {
			s.Errorf("down: %v, but it answers", err)
		}
		sp.move(sp.fence)
		sp.end()
	})

	// The node looks at the keys of a call before it runs the script, or at each in
	// it; but it may not create one again that the script itself has deleted.
	for _, alone := range []bool{true, false} {
		name := "an operation that loses a key on its way is done again, and says so" + map[bool]string{false: ", beside another"}[alone]
		scene(t, c, name, func(s *clusterStage) {
			sp := s.split(c.Nodes()[1])
			m := s.join(sp.key)
			owner, waiter := acquirer(), m.entry()
			granted := s.must(backend.Granted, s.acquire(sp.key, owner))
			s.must(backend.Waiting, s.acquire(sp.key, waiter))
			sp.begin()
			ops := []backend.Op{backend.Release(s.be.Names(sp.key), owner.ID(), granted.Reply.Tokens.First, granted.Reply.Tokens.Last, acquirer())}
			beside := s.keys(c.Nodes()[1].Addr(), 2)[1]
			if !alone {
				ops = append(ops, s.acquire(beside, acquirer()))
			}
			begun := time.Now()
			answers := [2]chan backend.Answer{make(chan backend.Answer, 2), make(chan backend.Answer, 2)}
			s.be.Together(ops, func(i int, a backend.Answer) { answers[i] <- a })
			if g := receive(s, m.grants); g.ID != waiter.ID() { // the first time has got as far as that
				s.Errorf("%+v", g)
			}
			done := time.Now()
			sp.move(sp.lease, sp.fence)
			sp.end()
			a := receive(s, answers[0])
			if a.Err != nil || a.Reply.Status != backend.Lost || !a.Repeated {
				s.Errorf("%+v, want it lost to the waiter, and repeated", a)
			}
			if a.Sent.Before(begun) || a.Sent.After(done) {
				s.Errorf("sent %v after the beginning, want the first time", a.Sent.Sub(begun))
			}
			if !alone {
				s.grants([]backend.Answer{receive(s, answers[1])})
				s.onlyOwners(beside)
			}
		})
	}

	scene(t, c, "a lost reply is followed by another attempt, whose answer says so", func(s *clusterStage) {
		key := s.key(c.Nodes()[2])
		s.warm(key)
		for name, done := range map[string]bool{"it was done": true, "it was not": false} {
			var first time.Time
			s.tap.via(func(_ string, cmds []redis.Cmder, next func() error) error {
				if len(s.tap.seen()) > 0 {
					return next()
				}
				first = time.Now()
				if done {
					_ = next()
				}
				eventually(s, "that takes its time", func() bool { return time.Since(first) > 20*time.Millisecond })
				return fail(cmds, errCut)
			})
			s.tap.forget()
			e := acquirer()
			a := s.must(backend.Granted, s.acquire(key, e))
			if !a.Repeated || a.Sent.After(first) || len(s.tap.seen()) != 2 {
				s.Errorf("%s: %+v, sent %v after the first attempt, in %d calls; want it repeated, and the first time", name, a, a.Sent.Sub(first), len(s.tap.seen()))
			}
			s.tap.forget()
			s.tap.via(nil)
			s.must(backend.Released, s.release(key, e, a))
		}
	})

	scene(t, c, "an answer after a lost reply and a redirect is still a repetition", func(s *clusterStage) {
		key := s.key(c.Nodes()[0])
		s.warm(key)
		before := s.at(key)
		var first time.Time
		s.tap.via(func(addr string, cmds []redis.Cmder, next func() error) error {
			if addr != before || !first.IsZero() {
				return next()
			}
			first = time.Now()
			_ = next()
			s.Helper()
			c.MoveSlot(s.fence(key)) // a lease and all
			return fail(cmds, errCut)
		})
		a := s.must(backend.Granted, s.acquire(key, acquirer()))
		if !a.Repeated || a.Sent.After(first) {
			s.Errorf("%+v, want it repeated, sent before %v", a, first)
		}
	})

	scene(t, c, "replies that are lost too often are an error", func(s *clusterStage) {
		key := s.key(c.Nodes()[1])
		s.warm(key)
		s.tap.via(func(_ string, cmds []redis.Cmder, next func() error) error { return fail(cmds, errCut) })
		a := s.ask(s.acquire(key, acquirer()))
		if n := len(s.tap.seen()); !errors.Is(a.Err, errCut) || n != 1+s.rdb.Options().MaxRedirects {
			s.Errorf("%+v after %d calls, want %d", a, n, 1+s.rdb.Options().MaxRedirects)
		}
	})

	scene(t, c, "a cluster that is down for now is asked again", func(s *clusterStage) {
		key := s.key(c.Nodes()[1])
		s.warm(key)
		s.tap.via(func(_ string, cmds []redis.Cmder, next func() error) error {
			if len(s.tap.seen()) < 5 {
				return fail(cmds, reply("CLUSTERDOWN The cluster is down"))
			}
			return next()
		})
		if a := s.must(backend.Granted, s.acquire(key, acquirer())); a.Repeated {
			s.Errorf("%+v: nothing was done before", a)
		}
	})

	scene(t, c, "what the server refuses for good is answered at once", func(s *clusterStage) {
		key := s.key(c.Nodes()[1])
		s.warm(key)
		refusal := reply("NOPERM this user has no permissions")
		s.tap.via(func(_ string, cmds []redis.Cmder, next func() error) error { return fail(cmds, refusal) })
		if a := s.ask(s.acquire(key, acquirer())); !errors.Is(a.Err, refusal) || len(s.tap.seen()) != 1 {
			s.Errorf("%+v after %d calls", a, len(s.tap.seen()))
		}
	})
}
