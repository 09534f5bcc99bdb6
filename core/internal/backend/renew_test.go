package backend_test

import (
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

func TestRenewalProlongsTheLeaseToItsFullTTL(t *testing.T) {
	onBoth(t, func(s *stage) {
		e, _ := s.hold()
		s.rdb.PExpire(s.Context(), s.lease, time.Second)
		if r := s.must(backend.Renewed, backend.Renew(s.names, e, "", 0)); r.Queued != 0 {
			s.Errorf("%d wait, want none", r.Queued)
		}
		s.wantLease(e, '0', ttl, ttl-5*time.Second)
	})
}

func TestRenewalTellsHowManyWait(t *testing.T) {
	onBoth(t, func(s *stage) {
		e, _ := s.hold()
		for want := 1; want <= 3; want++ {
			s.must(backend.Waiting, s.acquire(newProcess(s).entry("")))
			if r := s.must(backend.Renewed, backend.Renew(s.names, e, "", 0)); r.Queued != want {
				s.Errorf("%d wait, want %d", r.Queued, want)
			}
			s.wantLease(e, '1', ttl, ttl-5*time.Second)
		}
	})
}

func TestRenewalNeverRecreatesALease(t *testing.T) {
	for _, refreshed := range []bool{false, true} {
		onBoth(t, func(s *stage) {
			e, _ := s.hold()
			var meta backend.Entry
			if refreshed {
				meta = backend.MakeEntry(e.ID(), ttl, 1, "new")
			}
			s.expire()
			s.must(backend.Lost, backend.Renew(s.names, e, meta, 0))
			s.wantNoLease()

			other, _ := s.hold()
			s.rdb.PExpire(s.Context(), s.lease, 3*time.Second)
			s.must(backend.Lost, backend.Renew(s.names, e, meta, 0))
			s.wantLease(other, '0', 3*time.Second, time.Second)
		})
	}
}

func TestRefreshedMetadataKeepsTheFlagAndProlongs(t *testing.T) {
	onBoth(t, func(s *stage) {
		e, r := s.hold()
		for _, flag := range []byte("01") {
			if flag == '1' {
				s.must(backend.Waiting, s.acquire(newProcess(s).entry("")))
			}
			refreshed := backend.MakeEntry(e.ID(), ttl, 1, "request=of the next&flag="+string(flag))
			s.rdb.PExpire(s.Context(), s.lease, time.Second)
			s.must(backend.Renewed, backend.Renew(s.names, e, refreshed, 0))
			s.wantLease(refreshed, flag, ttl, ttl-5*time.Second)
		}
		// The metadata is what others now see, and the identity is what it was.
		w := s.must(backend.Waiting, s.acquire(newProcess(s).entry("")))
		if w.Owner.Meta() != "request=of the next&flag=1" {
			s.Errorf("metadata %q", w.Owner.Meta())
		}
		s.must(backend.Released, s.release(e, r))
	})
}
