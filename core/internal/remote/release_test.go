package remote_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/remote"
)

func TestReleaseOfALeaseThatNobodyWaitsForLeavesNothing(t *testing.T) {
	onBoth(t, func(s *stage) {
		e, r := s.hold()
		if r := s.must(remote.Released, s.release(e, r)); r.Requeued != nil {
			s.Errorf("requeued %+v", r.Requeued)
		}
		s.wantNoLease()
		s.wantQueue()
	})
}

// Only the whole identity is the owner: every byte of it counts, and nothing
// beside it does.
func TestOnlyTheWholeIdentityReleases(t *testing.T) {
	onBoth(t, func(s *stage) {
		p := newProcess(s)
		const counter = 0x123456789abcdef0
		owner := remote.MakeEntry(remote.MakeID(p.name, counter), ttl, 1, "owner")
		r := s.must(remote.Granted, s.acquire(owner))
		id := owner.ID()
		for i := range len(id) {
			other := []byte(id)
			if other[i]++; other[i] == '9'+1 || other[i] == 'f'+1 {
				other[i] = '0'
			}
			e := remote.MakeEntry(remote.ID(other), ttl, 1, "owner")
			if got := s.must(remote.Lost, s.release(e, r)); got.Requeued != nil {
				s.Errorf("requeued %+v", got.Requeued)
			}
			s.must(remote.Lost, remote.Renew(s.names, e, e, 0))
			s.must(remote.Absent, remote.Cancel(s.names, e))
			s.must(remote.Lost, remote.Release(s.names, e.ID(), 0, 0, ""))
		}
		s.wantLease(owner, '0', ttl, 0)
		// The TTL and the metadata are no part of it.
		s.must(remote.Released, s.release(remote.MakeEntry(id, time.Second, 1, "else"), r))
		s.wantNoLease()
	})
}

func TestReleaseByIdentityAlone(t *testing.T) {
	onBoth(t, func(s *stage) {
		owner, _ := s.hold()
		p := newListening(s)
		next := p.entry("")
		ticket := s.must(remote.Waiting, s.acquire(next)).Ticket
		s.must(remote.Released, remote.Release(s.names, owner.ID(), 0, 0, ""))
		s.wantLease(next, '0', ttl, ttl-5*time.Second)
		s.wantGrant(p, next, ticket, 0, owner.Meta())
	})
}

// The lease's own metadata is that of a holder before.
func TestReleaseCanTellWhoHeldTheLeaseLast(t *testing.T) {
	onBoth(t, func(s *stage) {
		owner, r := s.hold()
		p := newListening(s)
		next := p.entry("")
		ticket := s.must(remote.Waiting, s.acquire(next)).Ticket
		s.must(remote.Released, s.release(owner, r).From("last"))
		s.wantGrant(p, next, ticket, 0, "last")
		alone := remote.Release(s.names, next.ID(), 0, 0, "").From("last")
		s.must(remote.Released, alone)
		s.wantNoLease()
		s.must(remote.Missing, alone)
	})
}

func TestReleaseGrantsTheFirstInLineForItsOwnTTL(t *testing.T) {
	onBoth(t, func(s *stage) {
		owner, r := s.hold()
		var ps []*process
		var entries []remote.Entry
		var tickets []uint64
		for i := range 3 {
			p := newListening(s)
			e := p.entryFor(time.Duration(i+2)*time.Minute, fmt.Sprint("meta", i))
			tickets = append(tickets, s.must(remote.Waiting, s.acquire(e)).Ticket)
			ps, entries = append(ps, p), append(entries, e)
		}
		for i, e := range entries {
			s.must(remote.Released, s.release(owner, r))
			others := len(entries) - i - 1
			flag := byte('1')
			if others == 0 {
				flag = '0'
			}
			own := time.Duration(i+2) * time.Minute
			s.wantLease(e, flag, own, own-5*time.Second)
			s.wantQueue(entries[i+1:]...)
			s.wantGrant(ps[i], e, tickets[i], others, owner.Meta())
			owner, r = e, remote.Reply{}
		}
		for _, p := range ps {
			p.wantHeard()
		}
		s.must(remote.Released, s.release(owner, r))
		s.wantNoLease()
	})
}

func TestReleasePassesOverTheDeadAndReservesOnce(t *testing.T) {
	onBoth(t, func(s *stage) {
		owner, r := s.hold()
		for range 3 {
			s.must(remote.Waiting, s.acquire(newProcess(s).entry("")))
		}
		p := newListening(s)
		live := p.entry("")
		ticket := s.must(remote.Waiting, s.acquire(live)).Ticket
		// Ahead of the clock, every reservation shows.
		const future = 4e15
		s.rdb.Set(s.Context(), s.fence, fmt.Sprintf("%.0f", future), 0)
		s.must(remote.Released, s.release(owner, r))
		s.wantLease(live, '0', ttl, 0)
		s.wantQueue()
		if got := ok(s.rdb.Get(s.Context(), s.fence).Int64())(s); got != future+1 {
			s.Errorf("counter %d, want %.0f", got, future+1)
		}
		s.wantGrant(p, live, ticket, 0, owner.Meta())
	})
}

func TestReleaseWithOnlyDeadWaitersFreesTheKey(t *testing.T) {
	onBoth(t, func(s *stage) {
		owner, r := s.hold()
		for range 3 {
			s.must(remote.Waiting, s.acquire(newProcess(s).entry("")))
		}
		s.must(remote.Released, s.release(owner, r))
		s.wantNoLease()
		s.wantQueue()
	})
}

func TestReleaseOfAnExpiredLeaseGrantsTheFirstInLine(t *testing.T) {
	onBoth(t, func(s *stage) {
		owner, r := s.hold()
		p := newListening(s)
		next := p.entry("")
		ticket := s.must(remote.Waiting, s.acquire(next)).Ticket
		s.expire()
		s.must(remote.Missing, s.release(owner, r))
		s.wantLease(next, '0', ttl, ttl-5*time.Second)
		s.wantGrant(p, next, ticket, 0, "") // not from one who had lost it
	})
}

func TestReleaseOfAFreeKeyFindsItMissing(t *testing.T) {
	onBoth(t, func(s *stage) {
		owner, r := s.hold()
		s.must(remote.Released, s.release(owner, r))
		s.must(remote.Missing, s.release(owner, r))
		s.wantNoLease()
	})
}

func TestReleaseOfAnothersLeaseDoesNothing(t *testing.T) {
	onBoth(t, func(s *stage) {
		first, r := s.hold()
		s.expire()
		s.hold()
		s.must(remote.Waiting, s.acquire(newProcess(s).entry("")))
		before := s.dump()
		requeue := newProcess(s).entry("")
		got := s.must(remote.Lost, remote.Release(s.names, first.ID(), r.Block.First, r.Block.Last, requeue))
		if got.Requeued != nil {
			s.Errorf("requeued %+v", got.Requeued)
		}
		if after := s.dump(); after != before {
			s.Errorf("changed from\n%q to\n%q", before, after)
		}
	})
}
