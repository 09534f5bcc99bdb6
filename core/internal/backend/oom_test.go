package backend_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// setMemory sets how much memory the server may use, in bytes; 0 is no limit.
// Any server uses more than one byte: with that limit it is out of memory.
func (s *stage) setMemory(limit string) {
	s.Helper()
	if err := s.rdb.ConfigSet(s.Context(), "maxmemory", limit).Err(); err != nil {
		s.Fatal(err)
	}
}

// wantOOM fails the test unless op is refused for lack of memory, whole.
func (s *stage) wantOOM(op backend.Op) {
	s.Helper()
	_, err := s.ask(op)
	if e, ok := errors.AsType[*backend.ScriptError](err); !ok || !strings.HasPrefix(e.Text, "OOM") {
		s.Errorf("%v, want OOM", err)
	}
	s.wantRefused(op)
}

// A server that is out of memory refuses a script's first write, if that could
// need memory, and lets it finish after that.
func TestOutOfMemory(t *testing.T) {
	s := onRedis(t, "--maxmemory-policy", "noeviction")
	p := newListening(s)
	owner, r := s.hold()
	first, second := p.entry("first"), newProcess(s).entry("second")
	s.must(backend.Waiting, s.acquire(first))
	s.must(backend.Waiting, s.acquire(second))
	free := "another"
	unwaited := newProcess(s).entry("")
	block := s.must(backend.Granted, backend.Acquire(s.be.Names(free), unwaited.Wanting(64), true, manyMay)).Tokens

	s.setMemory("1")
	t.Run("an acquire is refused and leaves nothing", func(*testing.T) {
		s.wantOOM(backend.Acquire(s.be.Names("third"), newProcess(s).entry(""), true, manyMay))
		s.wantOOM(s.acquire(newProcess(s).entry("")))
	})
	t.Run("who asks again is answered", func(*testing.T) {
		if r := s.must(backend.Waiting, s.acquire(second)); r.Position != 2 {
			t.Errorf("position %d, want 2", r.Position)
		}
		s.must(backend.Granted, s.acquire(owner))
	})
	t.Run("a release that nobody waits for works", func(*testing.T) {
		s.must(backend.Released, backend.Release(s.be.Names(free), unwaited.ID(), block.First, block.Last, ""))
		lease, _, _ := s.be.Names(free).Parts()
		if n := s.rdb.Exists(t.Context(), lease).Val(); n != 0 {
			t.Error("the lease is still there")
		}
	})
	t.Run("a renewal works, with metadata too", func(*testing.T) {
		s.rdb.PExpire(t.Context(), s.lease, time.Second)
		refreshed := backend.MakeEntry(owner.ID(), ttl, 1, "new")
		s.must(backend.Renewed, backend.Renew(s.names, owner, refreshed, 0))
		s.wantLease(refreshed, '1', ttl, ttl-5*time.Second)
	})
	t.Run("a waiter can leave", func(*testing.T) {
		s.must(backend.Left, backend.Cancel(s.names, second))
		s.wantQueue(first)
	})

	s.setMemory("0")
	t.Run("all works when there is memory again", func(*testing.T) {
		s.must(backend.Granted, backend.Acquire(s.be.Names("third"), newProcess(s).entry(""), true, manyMay))
		s.must(backend.Released, s.release(owner, r))
		s.wantLease(first, '0', ttl, ttl-5*time.Second)
		s.wantQueue()
	})
}

// Each way to give a lease up, without memory: whoever gives it up has it no more,
// and the first in line has it.
func TestALeaseThatIsGivenUpWithoutMemoryIsTheNextOnes(t *testing.T) {
	type given struct {
		*stage
		owner backend.Entry
		block backend.TokenRange
		next  backend.Entry
	}
	for name, c := range map[string]struct {
		giveUp func(g given) backend.Reply
		meta   string // of the owner, as the next one hears of it
		others int
	}{
		"a release": {func(g given) backend.Reply {
			return g.must(backend.Released, backend.Release(g.names, g.owner.ID(), g.block.First, g.block.First, ""))
		}, "holder=h", 1},
		"a release that gives tokens back": {func(g given) backend.Reply {
			return g.must(backend.Released, backend.Release(g.names, g.owner.ID(), g.block.First, g.block.Last, ""))
		}, "holder=h", 1},
		"a release with the last holder's metadata": {func(g given) backend.Reply {
			return g.must(backend.Released, backend.Release(g.names, g.owner.ID(), g.block.First, g.block.First, "").From("last"))
		}, "last", 1},
		"a release that queues another": {func(g given) backend.Reply {
			r := g.must(backend.Released, backend.Release(g.names, g.owner.ID(), g.block.First, g.block.First, g.next))
			if w := g.requeued(r, backend.Waiting); w.Position != 2 || w.Queued != 2 {
				g.Errorf("requeued %+v", w)
			}
			return r
		}, "holder=h", 2},
		"a release of a lease that has expired": {func(g given) backend.Reply {
			g.expire()
			return g.must(backend.Missing, backend.Release(g.names, g.owner.ID(), g.block.First, g.block.First, ""))
		}, "", 1},
		"a cancel": {func(g given) backend.Reply {
			return g.must(backend.Released, backend.Cancel(g.names, g.owner))
		}, "holder=h", 1},
		"a cancel of a lease that has expired": {func(g given) backend.Reply {
			g.expire()
			return g.must(backend.Absent, backend.Cancel(g.names, g.owner))
		}, "", 1},
		"a break at once": {func(g given) backend.Reply {
			r := g.must(backend.Broken, backend.Break(g.names, g.owner.ID(), true))
			if r.Owner.ID() != g.owner.ID() || r.Queued != 2 {
				g.Errorf("broken %+v", r)
			}
			return r
		}, "holder=h", 1},
		"a break of a lease that has expired": {func(g given) backend.Reply {
			g.expire()
			return g.must(backend.Missing, backend.Break(g.names, g.owner.ID(), true))
		}, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := onRedis(t, "--maxmemory-policy", "noeviction")
			owner := newProcess(s).entry("holder=h")
			block := s.must(backend.Granted, s.acquire(owner.Wanting(64))).Tokens
			p := newListening(s)
			first, second := p.entry("first"), newProcess(s).entry("second")
			ticket := s.must(backend.Waiting, s.acquire(first)).Ticket
			s.must(backend.Waiting, s.acquire(second))
			next := newProcess(s).entry("next")

			s.setMemory("1")
			c.giveUp(given{s, owner, block, next})
			s.wantLease(first, '1', ttl, ttl-5*time.Second)
			if c.others == 2 {
				s.wantQueue(second, next)
			} else {
				s.wantQueue(second)
			}
			s.wantGrant(p, first, ticket, c.others, c.meta)
			if c.meta != "" { // and again, as who asks a second time does
				s.must(backend.Lost, backend.Release(s.names, owner.ID(), block.First, block.First, ""))
			}
			s.setMemory("0")
		})
	}
}

func TestAReleaseWithoutMemoryGrantsWhatItWasToQueueIfNobodyElseWaits(t *testing.T) {
	s := onRedis(t, "--maxmemory-policy", "noeviction")
	owner, r := s.hold()
	next := newListening(s).entry("")
	s.setMemory("1")
	g := s.requeued(s.must(backend.Released, s.pass(owner, r, next)), backend.Granted)
	if g.Tokens.First <= r.Tokens.Last {
		t.Errorf("requeued %+v after %+v", g, r.Tokens)
	}
	s.wantLease(next, '0', ttl, ttl-5*time.Second)
	s.wantQueue()
	s.setMemory("0")
}

func TestAnOperatorBreaksALeaseWithoutMemory(t *testing.T) {
	s := onRedis(t, "--maxmemory-policy", "noeviction")
	owner, r := s.hold()
	s.must(backend.Waiting, s.acquire(newListening(s).entry("")))
	left := s.pttl(s.lease)
	s.setMemory("1")
	if b := s.must(backend.Broken, backend.Break(s.names, owner.ID(), false)); b.Owner.ID() != owner.ID() {
		t.Errorf("broken %+v", b)
	}
	if got := s.pttl(s.lease); got > left {
		t.Errorf("the lease expires in %v, after %v: it was prolonged", got, left)
	}
	s.must(backend.Broken, backend.Renew(s.names, owner, "", 0))
	s.must(backend.Released, s.release(owner, r))
	s.setMemory("0")
}

// Nobody has reserved since, so that the counter must not stay ahead of the clock.
func TestTokensGoBackWithoutMemory(t *testing.T) {
	s := onRedis(t, "--maxmemory-policy", "noeviction")
	s.setFence(future)
	owner := newProcess(s).entry("")
	block := s.must(backend.Granted, s.acquire(owner.Wanting(64))).Tokens
	s.setMemory("1")
	s.must(backend.Released, backend.Release(s.names, owner.ID(), block.First, block.Last, ""))
	s.wantFence(block.First)
	s.setMemory("0")
}

// The flag may be set for waiters that have gone: then nothing is written.
func TestReleaseWithoutMemoryWhenTheWaitersHaveGone(t *testing.T) {
	s := onRedis(t, "--maxmemory-policy", "noeviction")
	owner := newProcess(s).entry("")
	block := s.must(backend.Granted, s.acquire(owner.Wanting(64))).Tokens
	gone := newProcess(s).entry("")
	s.must(backend.Waiting, s.acquire(gone))
	s.must(backend.Left, backend.Cancel(s.names, gone))
	s.setMemory("1")
	s.must(backend.Released, backend.Release(s.names, owner.ID(), block.First, block.Last, ""))
	s.wantNoLease()
	s.setMemory("0")
}
