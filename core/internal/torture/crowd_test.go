package torture

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/torture/fleet"
	"github.com/latchkey-go/latchkey/core/internal/torture/history"
	"github.com/latchkey-go/latchkey/core/internal/torture/tally"
	"github.com/latchkey-go/latchkey/core/locktest"
)

func TestMain(m *testing.M) {
	fleet.Child()
	os.Exit(m.Run())
}

// chosen is the seed of a scenario on real processes, which decides on all but the
// timing.
func chosen(s *tally.Tally) uint64 {
	n := *seed
	if n == 0 {
		n = rand.Uint64N(1 << 40)
	}
	s.Count(func(t *tally.Totals) { t.Seed = n })
	return n
}

// conclude judges what a fleet saw.
func conclude(s *tally.Tally, o fleet.Outcome, terms history.Terms) {
	found := append(o.Found, judge(s, o.Attempts, o.Writes, terms)...)
	s.Count(func(t *tally.Totals) {
		for _, v := range found {
			t.Violations = append(t.Violations, v.String())
		}
		t.Notes = append(t.Notes, "attempts that failed: "+tally.Counts(o.Failed).String())
		if len(o.Unback) > 0 {
			t.Notes = append(t.Notes, "releases that failed: "+tally.Counts(o.Unback).String())
		}
		t.Lost += o.TwinLost
	})
}

// TestS3ProcessesContend: many attempts and no faults. More can be told of a
// network in order: a refusal, too, needs a holder.
func TestS3ProcessesContend(t *testing.T) {
	t.Parallel()
	s := scenario(t, "S3")
	const processes, ttl = 4, 10 * time.Second
	server := locktest.StartRedis(t)
	f := fleet.Start(t, server, server.Addr(), processes, fleet.Work{
		TTL: ttl, Wait: 30 * time.Second, Keys: 8, Callers: 4,
		Impatient: 60, Leavers: 1, Attempts: size(2000, 1_000_000) / processes,
	}, chosen(s))
	f.AwaitDone()
	conclude(s, f.End(), history.Terms{Exact: ttl + time.Second})
}
