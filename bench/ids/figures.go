package main

import "github.com/latchkey-go/latchkey/bench/internal/report"

// limit is how many IDs a second a Snowflake of the default layout has.
const limit = 4096 * 1000

// figures are what one contender did in one round of a case, or the medians of
// all rounds.
type figures struct {
	// Each is the time for one ID, in nanoseconds, all callers together: the
	// inverse of the rate.
	Each float64 `json:"ns_per_id"`
	// Allocs are those of the whole process for one ID.
	Allocs float64 `json:"allocations_per_id"`
	// Cores are how many of them the process kept busy.
	Cores float64 `json:"cores"`
}

func newFigures(shares []share, mallocs uint64, cores float64) *figures {
	ids, perNano := 0, 0.0
	for _, s := range shares {
		ids += s.ids
		perNano += float64(s.ids) / float64(s.elapsed)
	}
	return &figures{Each: 1 / perNano, Allocs: float64(mallocs) / float64(ids), Cores: cores}
}

// rate is how many IDs were made in a second.
func (f *figures) rate() float64 { return 1e9 / f.Each }

// cpu is what an ID took of the processors' time, in nanoseconds.
func (f *figures) cpu() float64 { return f.Cores * f.Each }

// medians are those of each figure by itself.
func medians(rounds []*figures) *figures {
	return &figures{
		Each:   report.MedianOf(rounds, func(f *figures) float64 { return f.Each }),
		Allocs: report.MedianOf(rounds, func(f *figures) float64 { return f.Allocs }),
		Cores:  report.MedianOf(rounds, func(f *figures) float64 { return f.Cores }),
	}
}
