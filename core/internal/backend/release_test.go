package backend_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

func TestReleaseOfALeaseThatNobodyWaitsForLeavesNothing(t *testing.T) {
	onBoth(t, func(s *stage) {
		e, r := s.hold()
		if r := s.must(backend.Released, s.release(e, r)); r.Requeued != nil {
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
		owner := backend.MakeEntry(backend.MakeID(p.name, counter), ttl, 1, "owner")
		r := s.must(backend.Granted, s.acquire(owner))
		id := owner.ID()
		for i := range len(id) {
			other := []byte(id)
			if other[i]++; other[i] == '9'+1 || other[i] == 'f'+1 {
				other[i] = '0'
			}
			e := backend.MakeEntry(backend.ID(other), ttl, 1, "owner")
			if got := s.must(backend.Lost, s.release(e, r)); got.Requeued != nil {
				s.Errorf("requeued %+v", got.Requeued)
			}
			s.must(backend.Lost, backend.Renew(s.names, e, e, 0))
			s.must(backend.Absent, backend.Cancel(s.names, e))
			s.must(backend.Lost, backend.Release(s.names, e.ID(), 0, 0, ""))
		}
		s.wantLease(owner, '0', ttl, 0)
		// The TTL and the metadata are no part of it.
		s.must(backend.Released, s.release(backend.MakeEntry(id, time.Second, 1, "else"), r))
		s.wantNoLease()
	})
}

func TestReleaseByIdentityAlone(t *testing.T) {
	onBoth(t, func(s *stage) {
		owner, _ := s.hold()
		p := newListening(s)
		next := p.entry("")
		ticket := s.must(backend.Waiting, s.acquire(next)).Ticket
		s.must(backend.Released, backend.Release(s.names, owner.ID(), 0, 0, ""))
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
		ticket := s.must(backend.Waiting, s.acquire(next)).Ticket
		s.must(backend.Released, s.release(owner, r).From("last"))
		s.wantGrant(p, next, ticket, 0, "last")
		alone := backend.Release(s.names, next.ID(), 0, 0, "").From("last")
		s.must(backend.Released, alone)
		s.wantNoLease()
		s.must(backend.Missing, alone)
	})
}

func TestReleaseGrantsTheFirstInLineForItsOwnTTL(t *testing.T) {
	onBoth(t, func(s *stage) {
		owner, r := s.hold()
		var ps []*process
		var entries []backend.Entry
		var tickets []uint64
		for i := range 3 {
			p := newListening(s)
			e := p.entryFor(time.Duration(i+2)*time.Minute, fmt.Sprint("meta", i))
			tickets = append(tickets, s.must(backend.Waiting, s.acquire(e)).Ticket)
			ps, entries = append(ps, p), append(entries, e)
		}
		for i, e := range entries {
			s.must(backend.Released, s.release(owner, r))
			others := len(entries) - i - 1
			flag := byte('1')
			if others == 0 {
				flag = '0'
			}
			own := time.Duration(i+2) * time.Minute
			s.wantLease(e, flag, own, own-5*time.Second)
			s.wantQueue(entries[i+1:]...)
			s.wantGrant(ps[i], e, tickets[i], others, owner.Meta())
			owner, r = e, backend.Reply{}
		}
		for _, p := range ps {
			p.wantHeard()
		}
		s.must(backend.Released, s.release(owner, r))
		s.wantNoLease()
	})
}

func TestReleasePassesOverTheDeadAndReservesOnce(t *testing.T) {
	onBoth(t, func(s *stage) {
		owner, r := s.hold()
		for range 3 {
			s.must(backend.Waiting, s.acquire(newProcess(s).entry("")))
		}
		p := newListening(s)
		live := p.entry("")
		ticket := s.must(backend.Waiting, s.acquire(live)).Ticket
		// Ahead of the clock, every reservation shows.
		const future = 4e15
		s.rdb.Set(s.Context(), s.fence, fmt.Sprintf("%.0f", future), 0)
		s.must(backend.Released, s.release(owner, r))
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
			s.must(backend.Waiting, s.acquire(newProcess(s).entry("")))
		}
		s.must(backend.Released, s.release(owner, r))
		s.wantNoLease()
		s.wantQueue()
	})
}

func TestReleaseOfAnExpiredLeaseGrantsTheFirstInLine(t *testing.T) {
	onBoth(t, func(s *stage) {
		owner, r := s.hold()
		p := newListening(s)
		next := p.entry("")
		ticket := s.must(backend.Waiting, s.acquire(next)).Ticket
		s.expire()
		s.must(backend.Missing, s.release(owner, r))
		s.wantLease(next, '0', ttl, ttl-5*time.Second)
		s.wantGrant(p, next, ticket, 0, "") // not from one who had lost it
	})
}

func TestReleaseOfAFreeKeyFindsItMissing(t *testing.T) {
	onBoth(t, func(s *stage) {
		owner, r := s.hold()
		s.must(backend.Released, s.release(owner, r))
		s.must(backend.Missing, s.release(owner, r))
		s.wantNoLease()
	})
}

func TestReleaseOfAnothersLeaseDoesNothing(t *testing.T) {
	onBoth(t, func(s *stage) {
		first, r := s.hold()
		s.expire()
		s.hold()
		s.must(backend.Waiting, s.acquire(newProcess(s).entry("")))
		before := s.dump()
		requeue := newProcess(s).entry("")
		got := s.must(backend.Lost, backend.Release(s.names, first.ID(), r.Tokens.First, r.Tokens.Last, requeue))
		if got.Requeued != nil {
			s.Errorf("requeued %+v", got.Requeued)
		}
		if after := s.dump(); after != before {
			s.Errorf("changed from\n%q to\n%q", before, after)
		}
	})
}
