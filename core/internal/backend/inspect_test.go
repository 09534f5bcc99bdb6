package backend_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

func TestInspectionOfAFreeKeyFindsNobodyAndWritesNothing(t *testing.T) {
	onBoth(t, func(s *stage) {
		r := s.must(backend.Inspected, backend.Inspect(s.names, 10))
		if r.Owner != "" || r.Queued != 0 || len(r.Found.Line) != 0 || r.Found.Token != 0 {
			s.Errorf("%+v, %+v", r, r.Found)
		}
		if got := s.dump(); got != "" {
			s.Errorf("written:\n%s", got)
		}
	})
}

func TestInspectionTellsWhoHoldsAndWhoWaits(t *testing.T) {
	onBoth(t, func(s *stage) {
		owner, granted := s.hold()
		s.rdb.PExpire(s.Context(), s.lease, 4*time.Second)
		var line []backend.Entry
		var tickets []uint64
		for i := range 3 {
			e := newProcess(s).entryFor(time.Duration(i+1)*time.Second, fmt.Sprint("request=", i))
			line = append(line, e)
			tickets = append(tickets, s.must(backend.Waiting, s.acquire(e)).Ticket)
		}
		before := s.dump()
		for _, most := range []int{1, 2, 3, 100} {
			r := s.must(backend.Inspected, backend.Inspect(s.names, most))
			if r.Owner.ID() != owner.ID() || r.Owner.Meta() != "holder=h" || r.Owner.Broken() || r.Queued != 3 {
				s.Errorf("%+v", r)
			}
			if r.TTL > 4*time.Second || r.TTL < time.Second || r.Owner.TTL() != ttl {
				s.Errorf("%v of %v", r.TTL, r.Owner.TTL())
			}
			if r.Found.Token != granted.Tokens.Last {
				s.Errorf("last token %d, want %d", r.Found.Token, granted.Tokens.Last)
			}
			if len(r.Found.Line) != min(most, 3) {
				s.Errorf("%d in line", len(r.Found.Line))
			}
			for i, place := range r.Found.Line {
				if place.Entry != line[i] || !place.Since.Equal(time.UnixMicro(int64(tickets[i]))) || place.Since.After(r.Found.Now) {
					s.Errorf("place %d: %+v, ticket %d, now %v", i, place, tickets[i], r.Found.Now)
				}
			}
		}
		if after := s.dump(); after != before {
			s.Errorf("changed:\n%s\nwas:\n%s", after, before)
		}
	})
}

// What others have written is shown as it is, or not at all.
func TestInspectionBearsWhatOthersHaveWritten(t *testing.T) {
	onBoth(t, func(s *stage) {
		for _, lease := range []string{"", "x", "0", "\xff\x00\n", string(make([]byte, 100))} {
			for _, fence := range []string{"", "abc", "-5", "1e300", "nan", "12.5", "9007199254740993"} {
				s.rdb.Set(s.Context(), s.lease, lease, 0)
				s.rdb.Set(s.Context(), s.fence, fence, 0)
				s.rdb.Del(s.Context(), s.queue)
				for _, score := range []float64{-1e300, -1, 0, 1.5, 1e300} {
					s.rdb.ZAdd(s.Context(), s.queue, redis.Z{Score: score, Member: fmt.Sprint("\x00", score)})
				}
				r := s.must(backend.Inspected, backend.Inspect(s.names, 100))
				if string(r.Owner) != lease || r.Owner.ID() != "" || r.Owner.TTL() != 0 || r.Owner.Broken() || r.TTL > 0 {
					s.Errorf("%q: %+v", lease, r)
				}
				if len(r.Found.Line) != 5 {
					s.Errorf("line %+v", r.Found.Line)
				}
				if want := map[string]uint64{"12.5": 12}[fence]; r.Found.Token != want {
					s.Errorf("%q: token %d", fence, r.Found.Token)
				}
			}
		}
		s.rdb.Del(s.Context(), s.fence)
		s.rdb.RPush(s.Context(), s.fence, "a list")
		s.must(backend.Inspected, backend.Inspect(s.names, 100))
		s.rdb.Del(s.Context(), s.lease)
		s.rdb.RPush(s.Context(), s.lease, "a list")
		s.wantRefused(backend.Inspect(s.names, 100))
	})
}
