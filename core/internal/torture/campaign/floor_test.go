package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/core/internal/torture/tally"
)

// enough is totals that are just enough, in which simulated time has no faults.
func enough() []tally.Totals {
	faults := tally.Counts{}
	for kind := range 12 {
		faults[fmt.Sprint("kind ", kind)] = 80
	}
	faults["kind 0"] += 40
	return []tally.Totals{
		{Scenario: "S1", Seeds: 50_000, Attempts: 600_000, Grants: 100_000},
		{Scenario: "S3", Attempts: 400_000, Grants: 100_000},
		{Scenario: "S8", Faults: faults, Ambiguous: 5000},
	}
}

func TestAFullCampaignHasFloors(t *testing.T) {
	for what, change := range map[string]func(s1, s3, s8 *tally.Totals){
		"":                               func(_, _, _ *tally.Totals) {},
		"999999 attempts":                func(_, s3, _ *tally.Totals) { s3.Attempts-- },
		"199999 grants":                  func(s1, _, _ *tally.Totals) { s1.Grants-- },
		"999 faults":                     func(_, _, s8 *tally.Totals) { s8.Faults["kind 0"]-- },
		"11 kinds":                       func(_, _, s8 *tally.Totals) { delete(s8.Faults, "kind 1"); s8.Faults["kind 0"] += 80 },
		"4999 ambiguous":                 func(_, _, s8 *tally.Totals) { s8.Ambiguous-- },
		"49999 seeds":                    func(s1, _, _ *tally.Totals) { s1.Seeds-- },
		"0 faults, 0 kinds, 0 ambiguous": func(s1, _, s8 *tally.Totals) { *s1, *s8 = exchange(*s1, *s8) },
	} {
		each := enough()
		change(&each[0], &each[1], &each[2])
		c := campaign{Each: each}
		c.sum()
		short, want := c.short(), strings.Split(what, ", ")
		if what == "" {
			want = nil
		}
		if len(short) != len(want) {
			t.Errorf("%q: %q", what, short)
			continue
		}
		for i := range want {
			if !strings.HasPrefix(strings.TrimSpace(short[i]), want[i]) {
				t.Errorf("%q: %q", what, short)
			}
		}
	}
}

// exchange gives the faults of real processes to simulated time, where they do not
// count.
func exchange(s1, s8 tally.Totals) (tally.Totals, tally.Totals) {
	s1.Faults, s1.Ambiguous, s8.Faults, s8.Ambiguous = s8.Faults, s8.Ambiguous, nil, 0
	return s1, s8
}
