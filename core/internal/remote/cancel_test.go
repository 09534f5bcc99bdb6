package remote_test

import (
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/remote"
)

func TestCancelByTheOwnerReleasesAndGrantsTheNext(t *testing.T) {
	onBoth(t, func(s *stage) {
		owner, _ := s.hold()
		s.must(remote.Waiting, s.acquire(newProcess(s).entry("dead")))
		p := newListening(s)
		next := p.entry("")
		ticket := s.must(remote.Waiting, s.acquire(next)).Ticket
		s.must(remote.Released, remote.Cancel(s.names, owner))
		s.wantLease(next, '0', ttl, ttl-5*time.Second)
		s.wantQueue()
		s.wantGrant(p, next, ticket, 0, owner.Meta())

		s.must(remote.Released, remote.Cancel(s.names, next))
		s.wantNoLease()
	})
}

// The lease may bear other metadata than the entry by now.
func TestCancelByTheOwnerGoesByIdentity(t *testing.T) {
	onBoth(t, func(s *stage) {
		owner, _ := s.hold()
		s.must(remote.Renewed, remote.Renew(s.names, owner, remote.MakeEntry(owner.ID(), ttl, 1, "renamed"), 0))
		s.must(remote.Released, remote.Cancel(s.names, owner))
		s.wantNoLease()
	})
}

func TestCancelByAWaiterLeavesTheQueue(t *testing.T) {
	onBoth(t, func(s *stage) {
		owner, _ := s.hold()
		a, b := newProcess(s).entry("a"), newProcess(s).entry("b")
		s.must(remote.Waiting, s.acquire(a))
		s.must(remote.Waiting, s.acquire(b))
		s.must(remote.Left, remote.Cancel(s.names, a))
		s.wantQueue(b)
		s.must(remote.Absent, remote.Cancel(s.names, a))
		s.must(remote.Left, remote.Cancel(s.names, b))
		s.wantQueue()
		s.wantLease(owner, '1', ttl, 0) // a flag that is set for nobody costs one look
		s.must(remote.Released, remote.Cancel(s.names, owner))
		s.wantNoLease()
	})
}

func TestCancelOfAnEntryThatIsNowhereDoesNothing(t *testing.T) {
	onBoth(t, func(s *stage) {
		s.must(remote.Absent, remote.Cancel(s.names, newProcess(s).entry("")))
		s.wantNoLease()
		s.hold()
		before := s.dump()
		s.must(remote.Absent, remote.Cancel(s.names, newProcess(s).entry("")))
		if after := s.dump(); after != before {
			s.Errorf("changed from\n%q to\n%q", before, after)
		}
	})
}

func TestCancelReapsForAnOwnerThatExpired(t *testing.T) {
	for name, want := range map[string]remote.Status{"by a waiter": remote.Left, "by the expired owner": remote.Absent} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(s *stage) {
				owner, _ := s.hold()
				p := newListening(s)
				leaving, next := newProcess(s).entry(""), p.entry("")
				s.must(remote.Waiting, s.acquire(leaving))
				ticket := s.must(remote.Waiting, s.acquire(next)).Ticket
				s.expire()
				e := owner
				if want == remote.Left {
					e = leaving
				}
				s.must(want, remote.Cancel(s.names, e))
				s.wantLease(next, '0', ttl, ttl-5*time.Second)
				s.wantQueue()
				s.wantGrant(p, next, ticket, 0, "")
			})
		})
	}
}
