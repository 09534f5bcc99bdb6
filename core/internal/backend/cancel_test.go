package backend_test

import (
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

func TestCancelByTheOwnerReleasesAndGrantsTheNext(t *testing.T) {
	onBoth(t, func(s *stage) {
		owner, _ := s.hold()
		s.must(backend.Waiting, s.acquire(newProcess(s).entry("dead")))
		p := newListening(s)
		next := p.entry("")
		ticket := s.must(backend.Waiting, s.acquire(next)).Ticket
		s.must(backend.Released, backend.Cancel(s.names, owner))
		s.wantLease(next, '0', ttl, ttl-5*time.Second)
		s.wantQueue()
		s.wantGrant(p, next, ticket, 0, owner.Meta())

		s.must(backend.Released, backend.Cancel(s.names, next))
		s.wantNoLease()
	})
}

// The lease may bear other metadata than the entry by now.
func TestCancelByTheOwnerGoesByIdentity(t *testing.T) {
	onBoth(t, func(s *stage) {
		owner, _ := s.hold()
		s.must(backend.Renewed, backend.Renew(s.names, owner, backend.MakeEntry(owner.ID(), ttl, 1, "renamed"), 0))
		s.must(backend.Released, backend.Cancel(s.names, owner))
		s.wantNoLease()
	})
}

func TestCancelByAWaiterLeavesTheQueue(t *testing.T) {
	onBoth(t, func(s *stage) {
		owner, _ := s.hold()
		a, b := newProcess(s).entry("a"), newProcess(s).entry("b")
		s.must(backend.Waiting, s.acquire(a))
		s.must(backend.Waiting, s.acquire(b))
		s.must(backend.Left, backend.Cancel(s.names, a))
		s.wantQueue(b)
		s.must(backend.Absent, backend.Cancel(s.names, a))
		s.must(backend.Left, backend.Cancel(s.names, b))
		s.wantQueue()
		s.wantLease(owner, '1', ttl, 0) // a flag that is set for nobody costs one look
		s.must(backend.Released, backend.Cancel(s.names, owner))
		s.wantNoLease()
	})
}

func TestCancelOfAnEntryThatIsNowhereDoesNothing(t *testing.T) {
	onBoth(t, func(s *stage) {
		s.must(backend.Absent, backend.Cancel(s.names, newProcess(s).entry("")))
		s.wantNoLease()
		s.hold()
		before := s.dump()
		s.must(backend.Absent, backend.Cancel(s.names, newProcess(s).entry("")))
		if after := s.dump(); after != before {
			s.Errorf("changed from\n%q to\n%q", before, after)
		}
	})
}

func TestCancelReapsForAnOwnerThatExpired(t *testing.T) {
	for name, want := range map[string]backend.Status{"by a waiter": backend.Left, "by the expired owner": backend.Absent} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(s *stage) {
				owner, _ := s.hold()
				p := newListening(s)
				leaving, next := newProcess(s).entry(""), p.entry("")
				s.must(backend.Waiting, s.acquire(leaving))
				ticket := s.must(backend.Waiting, s.acquire(next)).Ticket
				s.expire()
				e := owner
				if want == backend.Left {
					e = leaving
				}
				s.must(want, backend.Cancel(s.names, e))
				s.wantLease(next, '0', ttl, ttl-5*time.Second)
				s.wantQueue()
				s.wantGrant(p, next, ticket, 0, "")
			})
		})
	}
}
