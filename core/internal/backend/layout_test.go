package backend_test

import (
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// The places in an entry are written down twice, in Go and in Lua. Each part
// must be what the other side takes it for.
func TestGoAndLuaAgreeOnTheEntrysLayout(t *testing.T) {
	onBoth(t, func(s *stage) {
		p, q := newListening(s), newListening(s)
		// Parts that differ in every place: digits that would show in another.
		a := backend.MakeEntry(backend.MakeID(p.name, 0x1122334455667788), 87_654_321*time.Millisecond, 54321, "99meta-a")
		b := backend.MakeEntry(backend.MakeID(q.name, 0x99aabbccddeeff00), 12_345_678*time.Millisecond, 67890, "11meta-b")
		r := s.must(backend.Granted, s.acquire(a))
		s.wantLease(a, '0', 87_654_321*time.Millisecond, 87_600_000*time.Millisecond)
		ticket := s.must(backend.Waiting, s.acquire(b)).Ticket
		s.wantLease(a, '1', 87_654_321*time.Millisecond, 87_600_000*time.Millisecond) // the flag
		p.wantHeard(s.note(a))                                                        // the process, the identity
		s.must(backend.Released, s.release(a, r))
		s.wantLease(b, '0', 12_345_678*time.Millisecond, 12_300_000*time.Millisecond) // the TTL
		s.wantGrant(q, b, ticket, 0, a.Meta())                                        // the metadata
	})
}
