package backend_test

import (
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

func TestTicketIsTheServersTimeInMicroseconds(t *testing.T) {
	onBoth(t, func(s *stage) {
		s.hold()
		before := uint64(ok(s.rdb.Time(s.Context()).Result())(s).UnixMicro())
		e := newProcess(s).entry("")
		ticket := s.must(backend.Waiting, s.acquire(e)).Ticket
		after := uint64(ok(s.rdb.Time(s.Context()).Result())(s).UnixMicro())
		if ticket < before || ticket > after {
			s.Errorf("ticket %d, want %d to %d", ticket, before, after)
		}
		if score := ok(s.rdb.ZScore(s.Context(), s.queue, string(e)).Result())(s); uint64(score) != ticket {
			s.Errorf("score %f, ticket %d", score, ticket)
		}
	})
}

// TIME is read once per script call, so operations that travel together are in
// the same microsecond.
func TestTicketsRiseWithinOneMicrosecond(t *testing.T) {
	onBoth(t, func(s *stage) {
		s.hold()
		var ops []backend.Op
		var entries []backend.Entry
		for range 20 {
			e := newProcess(s).entry("")
			entries = append(entries, e)
			ops = append(ops, s.acquire(e))
		}
		last := uint64(0)
		for i, a := range ok(s.be.RoundTrip(s.Context(), ops...))(s) {
			if a.Err != nil || a.Reply.Status != backend.Waiting {
				s.Fatalf("%+v", a)
			}
			ticket := a.Reply.Ticket
			if i > 0 && ticket != last+1 {
				s.Errorf("ticket %d after %d", ticket, last)
			}
			last = ticket
		}
		s.wantQueue(entries...)
	})
}

func TestTicketsRiseWhenTheClockIsSetBack(t *testing.T) {
	s := onMini(t)
	start := time.Now().Truncate(time.Microsecond)
	s.mini.SetTime(start)
	s.hold()
	first := s.must(backend.Waiting, s.acquire(newProcess(s).entry("")))
	s.mini.SetTime(start.Add(-time.Hour))
	second := s.must(backend.Waiting, s.acquire(newProcess(s).entry("")))
	if a, b := first.Ticket, second.Ticket; a != uint64(start.UnixMicro()) || b != a+1 {
		t.Errorf("tickets %d and %d, want %d and the next", a, b, start.UnixMicro())
	}
	if second.Position != 2 {
		t.Errorf("position %d, want 2", second.Position)
	}
}

// A grantee tells by the ticket whether an answer and a grant are about the same
// stay in the queue.
func TestEntryThatIsQueuedAgainGetsAnotherTicket(t *testing.T) {
	onBoth(t, func(s *stage) {
		owner, _ := s.hold()
		p := newListening(s)
		e := p.entry("")
		first := s.must(backend.Waiting, s.acquire(e)).Ticket
		s.must(backend.Left, backend.Cancel(s.names, e))
		s.must(backend.Waiting, s.acquire(newProcess(s).entry("")))
		second := s.must(backend.Waiting, s.acquire(e)).Ticket
		if second <= first {
			s.Errorf("ticket %d after %d", second, first)
		}
		s.must(backend.Released, backend.Cancel(s.names, owner))
		s.wantGrant(p, e, second, 0, owner.Meta())
	})
}
