package backend_test

import (
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// pass releases e's lease and queues next.
func (s *stage) pass(e backend.Entry, r backend.Reply, next backend.Entry) backend.Op {
	return backend.Release(s.names, e.ID(), r.Tokens.First, r.Tokens.Last, next)
}

// requeued returns what a release said of the entry that it was to queue.
func (s *stage) requeued(r backend.Reply, want backend.Status) backend.Reply {
	s.Helper()
	if r.Requeued == nil || r.Requeued.Status != want {
		s.Fatalf("requeued: %+v, want status %d", r.Requeued, want)
	}
	return *r.Requeued
}

func TestRequeuedEntryStandsBehindAllOthers(t *testing.T) {
	onBoth(t, func(s *stage) {
		mine, p, q := newListening(s), newListening(s), newListening(s)
		owner := mine.entry("one")
		r := s.must(backend.Granted, s.acquire(owner))
		first, second := p.entry("first"), q.entry("second")
		ticket := s.must(backend.Waiting, s.acquire(first)).Ticket
		last := s.must(backend.Waiting, s.acquire(second)).Ticket
		mine.heard()

		next := mine.entry("two")
		w := s.requeued(s.must(backend.Released, s.pass(owner, r, next)), backend.Waiting)
		if w.Position != 2 || w.Queued != 2 || w.Owner.ID() != first.ID() || w.TTL > ttl || w.TTL < ttl-5*time.Second {
			s.Errorf("requeued %+v", w)
		}
		if w.Ticket <= last {
			s.Errorf("ticket %d after %d", w.Ticket, last)
		}
		s.wantLease(first, '1', ttl, ttl-5*time.Second)
		s.wantQueue(second, next)
		// The grant counts the requeued one, so that no note is needed.
		s.wantGrant(p, first, ticket, 2, "one")
		mine.wantHeard()
	})
}

func TestRequeueSetsTheFlagOfAGranteeThatIsAlone(t *testing.T) {
	onBoth(t, func(s *stage) {
		owner, r := s.hold()
		p := newListening(s)
		first := p.entry("")
		ticket := s.must(backend.Waiting, s.acquire(first)).Ticket
		next := newProcess(s).entry("")
		w := s.requeued(s.must(backend.Released, s.pass(owner, r, next)), backend.Waiting)
		if w.Position != 1 || w.Queued != 1 {
			s.Errorf("requeued %+v", w)
		}
		s.wantLease(first, '1', ttl, ttl-5*time.Second)
		s.wantQueue(next)
		s.wantGrant(p, first, ticket, 1, owner.Meta())
		if left := s.pttl(s.queue); left > time.Minute || left < 50*time.Second {
			s.Errorf("the queue expires in %v, want about a minute", left)
		}
	})
}

func TestRequeuedEntryIsGrantedInTheReplyIfNobodyElseHears(t *testing.T) {
	for _, waiting := range []int{0, 3} {
		onBoth(t, func(s *stage) {
			owner, r := s.hold()
			for range waiting {
				s.must(backend.Waiting, s.acquire(newProcess(s).entry("dead")))
			}
			mine := newListening(s)
			next := mine.entryFor(2*ttl, "")
			g := s.requeued(s.must(backend.Released, s.pass(owner, r, next)), backend.Granted)
			if g.Queued != 0 || g.Tokens.First <= r.Tokens.Last {
				s.Errorf("requeued %+v after %+v", g, r.Tokens)
			}
			s.wantLease(next, '0', 2*ttl, 2*ttl-5*time.Second)
			s.wantQueue()
			mine.wantHeard()
		})
	}
}

func TestRequeueIsNeverRefusedByAFullQueue(t *testing.T) {
	onBoth(t, func(s *stage) {
		owner, r := s.hold()
		first := newListening(s).entry("")
		s.must(backend.Waiting, backend.Acquire(s.names, first, true, 2))
		second := newListening(s).entry("")
		s.must(backend.Waiting, backend.Acquire(s.names, second, true, 2))
		next := newProcess(s).entry("")
		s.requeued(s.must(backend.Released, s.pass(owner, r, next)), backend.Waiting)
		third := newProcess(s).entry("")
		s.must(backend.Full, backend.Acquire(s.names, third, true, 2))
		s.wantQueue(second, next)
		s.wantLease(first, '1', ttl, 0)
	})
}

func TestReleaseOfAnExpiredLeaseStillRequeues(t *testing.T) {
	for _, others := range []bool{false, true} {
		onBoth(t, func(s *stage) {
			owner, r := s.hold()
			p := newListening(s)
			first, next := p.entry(""), newProcess(s).entry("")
			if others {
				s.must(backend.Waiting, s.acquire(first))
			}
			s.expire()
			got := s.must(backend.Missing, s.pass(owner, r, next))
			if others {
				s.requeued(got, backend.Waiting)
				s.wantLease(first, '1', ttl, 0)
				s.wantQueue(next)
			} else {
				s.requeued(got, backend.Granted)
				s.wantLease(next, '0', ttl, 0)
				s.wantQueue()
			}
		})
	}
}

// The client library repeats a call whose reply was lost: the second time finds
// another's lease, and the entry asks for itself.
func TestRepeatedRequeueIsAsGoodAsOne(t *testing.T) {
	t.Run("granted in the reply", func(t *testing.T) {
		onBoth(t, func(s *stage) {
			owner, r := s.hold()
			next := newProcess(s).entry("")
			s.requeued(s.must(backend.Released, s.pass(owner, r, next)), backend.Granted)
			before := s.dump()
			s.must(backend.Lost, s.pass(owner, r, next))
			if after := s.dump(); after != before {
				s.Errorf("changed from\n%q to\n%q", before, after)
			}
			s.must(backend.Granted, s.acquire(next))
		})
	})
	t.Run("queued", func(t *testing.T) {
		onBoth(t, func(s *stage) {
			owner, r := s.hold()
			first, next := newListening(s).entry(""), newProcess(s).entry("")
			s.must(backend.Waiting, s.acquire(first))
			w := s.requeued(s.must(backend.Released, s.pass(owner, r, next)), backend.Waiting)
			s.must(backend.Lost, s.pass(owner, r, next))
			again := s.must(backend.Waiting, s.acquire(next))
			if again.Ticket != w.Ticket || again.Position != 1 {
				s.Errorf("asked again: %+v, was %+v", again, w)
			}
			s.wantQueue(next)
			s.wantLease(first, '1', ttl, 0)
		})
	})
	t.Run("queued, and the next lease has expired", func(t *testing.T) {
		onBoth(t, func(s *stage) {
			owner, r := s.hold()
			p := newListening(s)
			first, next := newListening(s).entry(""), newProcess(s).entry("")
			s.must(backend.Waiting, s.acquire(first))
			s.requeued(s.must(backend.Released, s.pass(owner, r, next)), backend.Waiting)
			third := p.entry("")
			s.must(backend.Waiting, s.acquire(third))
			s.expire()
			g := s.requeued(s.must(backend.Missing, s.pass(owner, r, next)), backend.Granted)
			if g.Queued != 1 {
				s.Errorf("requeued %+v", g)
			}
			s.wantLease(next, '1', ttl, 0)
			s.wantQueue(third)
		})
	})
	t.Run("queued behind one who gets it now", func(t *testing.T) {
		onBoth(t, func(s *stage) {
			owner, r := s.hold()
			p := newListening(s)
			first, second, next := newListening(s).entry(""), p.entry(""), newProcess(s).entry("")
			s.must(backend.Waiting, s.acquire(first))
			ticket := s.must(backend.Waiting, s.acquire(second)).Ticket
			w := s.requeued(s.must(backend.Released, s.pass(owner, r, next)), backend.Waiting)
			s.expire()
			again := s.requeued(s.must(backend.Missing, s.pass(owner, r, next)), backend.Waiting)
			if again.Ticket != w.Ticket || again.Position != 1 || again.Queued != 1 {
				s.Errorf("again %+v, was %+v", again, w)
			}
			s.wantLease(second, '1', ttl, 0)
			s.wantQueue(next)
			s.wantGrant(p, second, ticket, 1, "") // it is counted once
		})
	})
}
