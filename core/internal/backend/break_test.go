package backend_test

import (
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// broken is e as its lease is stored once it is broken.
func broken(e backend.Entry) backend.Entry { return e[:1] + "b" + e[2:] }

// breakOf is the message that e's lease is broken.
func (s *stage) breakOf(e backend.Entry) string { return "broken\n" + string(e.ID()) + "\n" + s.lease }

// wantTokensAbove fails the test unless the last token is above those of r.
func (s *stage) wantTokensAbove(r backend.Reply) {
	s.Helper()
	last := ok(s.rdb.Get(s.Context(), s.fence).Uint64())(s)
	if last <= r.Tokens.Last {
		s.Errorf("token %d after %+v", last, r.Tokens)
	}
}

func TestBrokenLeaseStaysItsOwnersAndIsNotProlonged(t *testing.T) {
	onBoth(t, func(s *stage) {
		p := newListening(s)
		e := p.entry("request=1")
		s.must(backend.Granted, s.acquire(e))
		s.rdb.PExpire(s.Context(), s.lease, 4*time.Second)
		const left, least = 4 * time.Second, time.Second

		for range 2 { // a second time it is as good as once
			r := s.must(backend.Broken, backend.Break(s.names, e.ID(), false))
			if r.Owner.ID() != e.ID() || r.Owner.Meta() != "request=1" || r.Queued != 0 || r.TTL > left || r.TTL < least {
				s.Errorf("%+v", r)
			}
			s.wantLease(broken(e), '0', left, least)
			p.wantHeard(s.breakOf(e))
		}
		before := s.dump()
		s.must(backend.Broken, backend.Renew(s.names, e, "", 0))
		s.must(backend.Broken, backend.Renew(s.names, e, backend.MakeEntry(e.ID(), ttl, 1, "new"), 3))
		s.must(backend.Broken, s.acquire(e))
		s.must(backend.Broken, backend.Acquire(s.names, e, false, 0))
		if after := s.dump(); after != before {
			s.Errorf("changed:\n%s\nwas:\n%s", after, before)
		}
		s.wantLease(broken(e), '0', left, least)
	})
}

// Others see who it is, and may wait.
func TestBrokenLeaseIsInTheWayOfOthersUntilItsReleaseOrExpiry(t *testing.T) {
	for _, end := range []string{"release", "release with tokens", "release with requeue", "cancel", "expiry"} {
		t.Run(end, func(t *testing.T) {
			onBoth(t, func(s *stage) {
				owner, granted := s.hold()
				s.must(backend.Broken, backend.Break(s.names, owner.ID(), false))

				p := newListening(s)
				e := p.entry("")
				r := s.must(backend.Held, backend.Acquire(s.names, e, false, manyMay))
				if r.Owner.ID() != owner.ID() || !r.Owner.Broken() || r.Owner.Meta() != "holder=h" {
					s.Errorf("in the way: %q", r.Owner)
				}
				ticket := s.must(backend.Waiting, s.acquire(e)).Ticket
				s.wantLease(broken(owner), '1', ttl, time.Second)
				// Who waits for it is not forgotten when it is broken again.
				s.must(backend.Broken, backend.Break(s.names, owner.ID(), false))
				s.wantLease(broken(owner), '1', ttl, time.Second)
				s.wantQueue(e)

				another := newProcess(s).entry("")
				from := "holder=h"
				switch end {
				case "release":
					s.must(backend.Released, backend.Release(s.names, owner.ID(), 0, 0, ""))
				case "release with tokens":
					s.must(backend.Released, backend.Release(s.names, owner.ID(), granted.Tokens.Last, granted.Tokens.Last+5, ""))
				case "release with requeue":
					s.must(backend.Released, backend.Release(s.names, owner.ID(), 0, 0, another))
				case "cancel":
					s.must(backend.Released, backend.Cancel(s.names, owner))
				case "expiry":
					s.expire()
					s.must(backend.Held, backend.Acquire(s.names, another, false, manyMay))
					from = ""
				}
				lease := backend.Entry(ok(s.rdb.Get(s.Context(), s.lease).Result())(s))
				if lease.ID() != e.ID() || lease.Broken() {
					s.Errorf("lease %q, want %q", lease, e)
				}
				var behind int
				if end == "release with requeue" {
					behind = 1
				}
				s.wantGrant(p, e, ticket, behind, from)
				s.wantTokensAbove(granted)
			})
		})
	}
}

// The release in few words.
func TestBrokenLeaseThatNobodyWaitsForIsDeletedByItsRelease(t *testing.T) {
	onBoth(t, func(s *stage) {
		e, r := s.hold()
		s.must(backend.Broken, backend.Break(s.names, e.ID(), false))
		s.must(backend.Released, s.release(e, r))
		s.wantNoLease()
	})
}

func TestBreakAtOncePassesTheLeaseOn(t *testing.T) {
	onBoth(t, func(s *stage) {
		p, q := newListening(s), newListening(s)
		owner := p.entry("holder=h")
		granted := s.must(backend.Granted, s.acquire(owner.Wanting(5)))
		e, second := q.entry(""), newProcess(s).entry("")
		ticket := s.must(backend.Waiting, s.acquire(e)).Ticket
		s.must(backend.Waiting, s.acquire(second))
		p.heard()

		r := s.must(backend.Broken, backend.Break(s.names, owner.ID(), true))
		if r.Owner.ID() != owner.ID() || r.Queued != 2 {
			s.Errorf("%+v", r)
		}
		s.wantLease(e, '1', ttl, ttl-5*time.Second)
		s.wantQueue(second)
		s.wantGrant(q, e, ticket, 1, "holder=h")
		s.wantTokensAbove(granted)
		p.wantHeard(s.breakOf(owner))

		// All that the old owner can do now does no harm.
		s.must(backend.Lost, backend.Renew(s.names, owner, "", 0))
		s.must(backend.Lost, s.release(owner, granted))
		s.must(backend.Absent, backend.Cancel(s.names, owner))
		s.wantLease(e, '1', ttl, ttl-5*time.Second)
	})
}

func TestBreakAtOnceFreesAKeyThatNobodyWaitsFor(t *testing.T) {
	for _, before := range []bool{false, true} {
		onBoth(t, func(s *stage) {
			owner, granted := s.hold()
			if before {
				s.must(backend.Broken, backend.Break(s.names, owner.ID(), false))
			}
			s.must(backend.Broken, backend.Break(s.names, owner.ID(), true))
			s.wantNoLease()
			next := s.must(backend.Granted, s.acquire(newProcess(s).entry("")))
			if next.Tokens.First <= granted.Tokens.Last {
				s.Errorf("tokens %+v after %+v", next.Tokens, granted.Tokens)
			}
		})
	}
}

func TestBreakIsOfOneLeaseOnly(t *testing.T) {
	for _, atOnce := range []bool{false, true} {
		onBoth(t, func(s *stage) {
			first, r := s.hold()
			s.must(backend.Released, s.release(first, r))
			s.must(backend.Missing, backend.Break(s.names, first.ID(), atOnce))
			s.wantNoLease()

			second, _ := s.hold()
			s.must(backend.Waiting, s.acquire(newProcess(s).entry("")))
			before := s.dump()
			got := s.must(backend.Held, backend.Break(s.names, first.ID(), atOnce))
			if got.Owner.ID() != second.ID() || got.Queued != 1 {
				s.Errorf("%+v", got)
			}
			if after := s.dump(); after != before {
				s.Errorf("changed:\n%s\nwas:\n%s", after, before)
			}
		})
	}
}

func TestBreakReapsForAnOwnerThatExpired(t *testing.T) {
	onBoth(t, func(s *stage) {
		owner, _ := s.hold()
		p := newListening(s)
		e := p.entry("")
		ticket := s.must(backend.Waiting, s.acquire(e)).Ticket
		s.expire()
		s.must(backend.Missing, backend.Break(s.names, owner.ID(), false))
		s.wantLease(e, '0', ttl, ttl-5*time.Second)
		s.wantGrant(p, e, ticket, 0, "")
	})
}

func TestBreakOfWhatIsNoStringChangesNothing(t *testing.T) {
	for _, atOnce := range []bool{false, true} {
		onBoth(t, func(s *stage) {
			owner, _ := s.hold()
			s.rdb.Del(s.Context(), s.lease)
			s.rdb.RPush(s.Context(), s.lease, "a list")
			s.wantRefused(backend.Break(s.names, owner.ID(), atOnce))
		})
	}
}

func TestProcessIsToldThatItsLeaseIsBroken(t *testing.T) {
	onBoth(t, func(s *stage) {
		p := newProcess(s)
		e := p.entry("")
		ear := listen(s, p.name)
		s.must(backend.Granted, s.acquire(e))
		s.must(backend.Broken, backend.Break(s.names, e.ID(), false))
		if n := receive(s, ear.breaks); n != (backend.Note{ID: e.ID(), Key: s.key}) {
			s.Errorf("%+v", n)
		}
	})
}

func TestABreakInAFlightLeavesItsNeighboursAlone(t *testing.T) {
	onBoth(t, func(s *stage) {
		e, _ := s.hold()
		other := newProcess(s).entry("")
		names := s.be.Names("another")
		answers := ok(s.be.RoundTrip(s.Context(),
			backend.Acquire(names, other, true, manyMay),
			backend.Break(s.names, e.ID(), false),
			backend.Inspect(s.names, 1),
			backend.Renew(s.names, e, "", 0),
			backend.Break(names, other.ID(), true),
			backend.Cancel(s.names, e),
			backend.Inspect(names, 100),
			backend.Release(names, other.ID(), 0, 0, ""),
		))(s)
		var got []string
		for _, a := range answers {
			if a.Err != nil {
				s.Errorf("%v", a.Err)
			}
			got = append(got, strings.ToLower(a.Reply.Status.String()))
		}
		want := "granted broken inspected broken broken released inspected missing"
		if g := strings.Join(got, " "); g != want {
			s.Errorf("%s, want %s", g, want)
		}
	})
}
