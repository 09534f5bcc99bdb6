package backend_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

func TestFreeKeyIsGrantedAndTheEntryIsTheLease(t *testing.T) {
	onBoth(t, func(s *stage) {
		e := newProcess(s).entry("service=pay&host=a")
		r := s.must(backend.Granted, s.acquire(e))
		if r.Queued != 0 {
			s.Errorf("%d wait, want none", r.Queued)
		}
		if r.Tokens.First == 0 || r.Tokens.First != r.Tokens.Last {
			s.Errorf("tokens %+v, want one", r.Tokens)
		}
		s.wantLease(e, '0', ttl, ttl-5*time.Second)
		s.wantQueue()
	})
}

func TestHeldKeyMakesTheEntryWaitAndTellsWhoIsInTheWay(t *testing.T) {
	onBoth(t, func(s *stage) {
		owner, _ := s.hold()
		for i := 1; i <= 3; i++ {
			r := s.must(backend.Waiting, s.acquire(newProcess(s).entry("")))
			if r.Position != i || r.Queued != i {
				s.Errorf("position %d of %d, want %d of %d", r.Position, r.Queued, i, i)
			}
			if r.TTL > ttl || r.TTL < ttl-5*time.Second {
				s.Errorf("the lease expires in %v, want about %v", r.TTL, ttl)
			}
			if r.Owner.ID() != owner.ID() || r.Owner.Meta() != owner.Meta() {
				s.Errorf("owner %q, want %q", r.Owner, owner)
			}
			if r.Ticket == 0 {
				s.Error("no ticket")
			}
		}
	})
}

func TestNewWaiterSetsTheFlagAndKeepsTheLeasesExpiry(t *testing.T) {
	onBoth(t, func(s *stage) {
		owner, _ := s.hold()
		const left = 4 * time.Second
		s.rdb.PExpire(s.Context(), s.lease, left)
		s.must(backend.Waiting, s.acquire(newProcess(s).entry("")))
		s.wantLease(owner, '1', left, time.Second)
	})
}

// Also by one who was there before: the last note may have been lost.
func TestOwnerIsNotedWhenAnotherWaits(t *testing.T) {
	onBoth(t, func(s *stage) {
		p := newListening(s)
		owner := p.entry("")
		s.must(backend.Granted, s.acquire(owner))
		a, b := newProcess(s).entry(""), newProcess(s).entry("")

		s.must(backend.Waiting, s.acquire(a))
		p.wantHeard(s.note(owner))
		s.must(backend.Waiting, s.acquire(a))
		p.wantHeard(s.note(owner))
		s.must(backend.Waiting, s.acquire(b))
		p.wantHeard(s.note(owner))

		s.must(backend.Held, backend.Acquire(s.names, newProcess(s).entry(""), false, manyMay))
		s.must(backend.Full, backend.Acquire(s.names, newProcess(s).entry(""), true, 2))
		p.wantHeard()
	})
}

func TestWhoDoesNotWaitIsNotQueued(t *testing.T) {
	onBoth(t, func(s *stage) {
		owner, _ := s.hold()
		for _, waiting := range []int{0, 1} {
			r := s.must(backend.Held, backend.Acquire(s.names, newProcess(s).entry(""), false, manyMay))
			if r.Queued != waiting || r.Owner.ID() != owner.ID() {
				s.Errorf("%d wait for %q, want %d for %q", r.Queued, r.Owner, waiting, owner)
			}
			if r.TTL > ttl || r.TTL < ttl-5*time.Second {
				s.Errorf("the lease expires in %v, want about %v", r.TTL, ttl)
			}
			if waiting == 0 {
				s.wantQueue()
				s.wantLease(owner, '0', ttl, 0)
				queued := newProcess(s).entry("")
				s.must(backend.Waiting, s.acquire(queued))
				defer s.wantQueue(queued)
			}
		}
	})
}

func TestOwnerThatAsksAgainIsGrantedAgainForItsFullTTL(t *testing.T) {
	onBoth(t, func(s *stage) {
		e, first := s.hold()
		s.rdb.PExpire(s.Context(), s.lease, time.Second)
		again := s.must(backend.Granted, s.acquire(e))
		if again.Tokens.First <= first.Tokens.Last {
			s.Errorf("tokens %+v after %+v", again.Tokens, first.Tokens)
		}
		s.wantLease(e, '0', ttl, ttl-5*time.Second)

		s.must(backend.Waiting, s.acquire(newProcess(s).entry("")))
		again = s.must(backend.Granted, backend.Acquire(s.names, e, false, 0))
		if again.Queued != 1 {
			s.Errorf("%d wait, want 1", again.Queued)
		}
		s.wantLease(e, '1', ttl, ttl-5*time.Second)
	})
}

func TestQueuedEntryThatAsksAgainKeepsItsTicketAndPlace(t *testing.T) {
	onBoth(t, func(s *stage) {
		s.hold()
		a, b := newProcess(s).entry("a"), newProcess(s).entry("b")
		first := s.must(backend.Waiting, s.acquire(a))
		s.must(backend.Waiting, s.acquire(b))
		again := s.must(backend.Waiting, s.acquire(a))
		if again.Ticket != first.Ticket || again.Position != 1 || again.Queued != 2 {
			s.Errorf("ticket %d, position %d of %d; want %d, 1 of 2", again.Ticket, again.Position, again.Queued, first.Ticket)
		}
		s.wantQueue(a, b)
	})
}

// A waiter that stops asking for good leaves no trace for ever.
func TestQueueExpiresUnlessItsWaitersAsk(t *testing.T) {
	onBoth(t, func(s *stage) {
		s.hold()
		e := newProcess(s).entry("")
		for range 2 {
			s.must(backend.Waiting, s.acquire(e))
			if left := s.pttl(s.queue); left > time.Minute || left < 50*time.Second {
				s.Errorf("the queue expires in %v, want about a minute", left)
			}
			s.rdb.PExpire(s.Context(), s.queue, time.Second)
		}
	})
}

func TestExpiredLeaseGoesToTheHeadOfTheQueue(t *testing.T) {
	for _, who := range []string{"the head itself", "the second", "a newcomer", "one who does not wait"} {
		t.Run(who, func(t *testing.T) {
			onBoth(t, func(s *stage) {
				s.hold()
				p, q := newListening(s), newListening(s)
				head, second := p.entryFor(2*ttl, "head"), q.entry("second")
				ticket := s.must(backend.Waiting, s.acquire(head)).Ticket
				s.must(backend.Waiting, s.acquire(second))
				s.expire()

				queued := 1
				switch who {
				case "the head itself":
					r := s.must(backend.Granted, s.acquire(head))
					if r.Queued != 1 {
						s.Errorf("%d wait, want 1", r.Queued)
					}
					s.wantQueue(second)
					p.wantHeard() // the reply says it
				case "the second":
					r := s.must(backend.Waiting, s.acquire(second))
					if r.Position != 1 || r.Queued != 1 || r.Owner.ID() != head.ID() {
						s.Errorf("position %d of %d, owner %q", r.Position, r.Queued, r.Owner)
					}
					s.wantQueue(second)
					s.wantGrant(p, head, ticket, queued, "", s.note(head))
				case "a newcomer":
					e := newProcess(s).entry("new")
					r := s.must(backend.Waiting, s.acquire(e))
					if r.Position != 2 || r.Queued != 2 || r.Owner.ID() != head.ID() {
						s.Errorf("position %d of %d, owner %q", r.Position, r.Queued, r.Owner)
					}
					s.wantQueue(second, e)
					s.wantGrant(p, head, ticket, queued, "", s.note(head))
				case "one who does not wait":
					r := s.must(backend.Held, backend.Acquire(s.names, newProcess(s).entry(""), false, manyMay))
					if r.Owner.ID() != head.ID() || r.Queued != 1 {
						s.Errorf("%d wait for %q", r.Queued, r.Owner)
					}
					s.wantQueue(second)
					s.wantGrant(p, head, ticket, queued, "")
				}
				s.wantLease(head, '1', 2*ttl, 2*ttl-5*time.Second)
				q.wantHeard()
			})
		})
	}
}

func TestDeadWaitersArePassedOver(t *testing.T) {
	for _, alive := range []bool{true, false} {
		t.Run(fmt.Sprintf("one behind them alive: %v", alive), func(t *testing.T) {
			onBoth(t, func(s *stage) {
				s.hold()
				for range 3 {
					s.must(backend.Waiting, s.acquire(newProcess(s).entry("")))
				}
				e := newProcess(s).entry("newcomer")
				if !alive {
					s.expire()
					s.must(backend.Granted, backend.Acquire(s.names, e, false, 0))
					s.wantLease(e, '0', ttl, ttl-5*time.Second)
					s.wantQueue()
					return
				}
				p := newListening(s)
				live := p.entry("")
				ticket := s.must(backend.Waiting, s.acquire(live)).Ticket
				s.expire()
				s.must(backend.Waiting, s.acquire(e))
				s.wantLease(live, '1', ttl, ttl-5*time.Second)
				s.wantQueue(e)
				s.wantGrant(p, live, ticket, 0, "", s.note(live))
			})
		})
	}
}

// Whoever listens to everything, as an operator's console does, hears for
// nobody.
func TestPatternSubscriberDoesNotMakeADeadWaiterAlive(t *testing.T) {
	onBoth(t, func(s *stage) {
		console := s.rdb.PSubscribe(s.Context(), "*")
		defer console.Close()
		go func() {
			for range console.Channel() { // miniredis stands still until it is read
			}
		}()
		for ok(s.rdb.PubSubNumPat(s.Context()).Result())(s) == 0 {
			runtime.Gosched()
		}
		owner, r := s.hold()
		s.must(backend.Waiting, s.acquire(newProcess(s).entry("dead")))
		p := newListening(s)
		live := p.entry("live")
		s.must(backend.Waiting, s.acquire(live))
		s.must(backend.Released, s.release(owner, r))
		s.wantLease(live, '0', ttl, 0)
		s.wantQueue()
	})
}

func TestFullQueueRefusesNewcomersOnly(t *testing.T) {
	onBoth(t, func(s *stage) {
		owner, _ := s.hold()
		a, b := newProcess(s).entry("a"), newProcess(s).entry("b")
		s.must(backend.Waiting, backend.Acquire(s.names, a, true, 2))
		s.must(backend.Waiting, backend.Acquire(s.names, b, true, 2))
		r := s.must(backend.Full, backend.Acquire(s.names, newProcess(s).entry("c"), true, 2))
		if r.Queued != 2 || r.Owner.ID() != owner.ID() || r.TTL > ttl || r.TTL < ttl-5*time.Second {
			s.Errorf("%+v", r)
		}
		s.wantQueue(a, b)
		// Also when the cap has been lowered since.
		if r := s.must(backend.Waiting, backend.Acquire(s.names, b, true, 1)); r.Position != 2 {
			s.Errorf("position %d, want 2", r.Position)
		}
		s.wantQueue(a, b)
	})
}

// A queue can only hold what the scripts put there, but of every version: what
// is not understood must not be in the way of the others for ever.
func TestMemberThatIsNoEntryIsDropped(t *testing.T) {
	id := string(backend.MakeID(backend.NewProcess(), 1))
	for name, member := range map[string]string{
		"empty":        "",
		"short":        "0x",
		"without TTL":  "0x" + id,
		"short TTL":    "0x" + id + "100",
		"text as TTL":  "0x" + id + "ten secs",
		"TTL zero":     "0x" + id + "00000000",
		"TTL negative": "0x" + id + "-0001000",
		"TTL infinite": "0x" + id + "1e999999",
		"TTL hex":      "0x" + id + "0x001000",
		"TTL broken":   "0x" + id + "1000.125",
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(s *stage) {
				owner, r := s.hold()
				p := newListening(s)
				e := p.entry("")
				ticket := s.must(backend.Waiting, s.acquire(e)).Ticket
				if err := s.rdb.Do(s.Context(), "ZADD", s.queue, 1, member).Err(); err != nil {
					s.Fatal(err)
				}
				s.must(backend.Released, s.release(owner, r))
				s.wantLease(e, '0', ttl, 0)
				s.wantQueue()
				s.wantGrant(p, e, ticket, 0, owner.Meta())
			})
		})
	}
}
