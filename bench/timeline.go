package main

import (
	"slices"
	"time"
)

// timeline is how many acquisitions there were in each slice of time.
type timeline struct {
	slice  time.Duration
	counts []int
}

// between is how many acquisitions a second there were in the slices that lie
// wholly between two times, and whether there are any slices.
func (t timeline) between(from, to time.Duration) (rate float64, ok bool) {
	first, end := int((from+t.slice-1)/t.slice), min(int(to/t.slice), len(t.counts))
	if first >= end {
		return 0, false
	}
	sum := 0
	for _, n := range t.counts[first:end] {
		sum += n
	}
	return float64(sum) / (time.Duration(end-first) * t.slice).Seconds(), true
}

// reaches is when, from a time on, a slice first has at least so many
// acquisitions a second; it counts to that slice's end. It looks no further than
// to.
func (t timeline) reaches(rate float64, from, to time.Duration) (after time.Duration, ok bool) {
	for i := int((from + t.slice - 1) / t.slice); i < len(t.counts); i++ {
		end := time.Duration(i+1) * t.slice
		if end > to {
			break
		}
		if float64(t.counts[i]) >= rate*t.slice.Seconds() {
			return end - from, true
		}
	}
	return 0, false
}

// recovery is how throughput went on between cuts.
type recovery struct {
	Quiet float64 `json:"quiet_per_second"` // the rate without cuts
	// Median and Worst are the rates between two cuts, as shares of Quiet;
	// QuietWorst is the worst of as long an interval without cuts.
	Median     float64 `json:"median"`
	Worst      float64 `json:"worst"`
	QuietWorst float64 `json:"quiet_worst"`
	// Recovered is after how many of Cuts a slice before the next cut had half of
	// Quiet; Slowest is how long that took at most.
	Cuts      int           `json:"cuts"`
	Recovered int           `json:"recovered"`
	Slowest   time.Duration `json:"slowest_ns"`
}

// recovered is the share of Quiet that counts as recovered.
const recovered = 0.5

// recoveryOf compares what is before the first cut with what is between one and
// the next. every is how far apart the cuts were meant to be.
func recoveryOf(t timeline, cuts []time.Duration, every time.Duration) recovery {
	var r recovery
	if len(cuts) < 2 {
		return r
	}
	var ok bool
	if r.Quiet, ok = t.between(0, cuts[0]); !ok || r.Quiet == 0 {
		return r
	}
	r.QuietWorst = 1
	for from := time.Duration(0); from+every <= cuts[0]; from += every {
		if rate, ok := t.between(from, from+every); ok {
			r.QuietWorst = min(r.QuietWorst, rate/r.Quiet)
		}
	}
	var shares []float64
	for i, cut := range cuts[:len(cuts)-1] {
		rate, ok := t.between(cut, cuts[i+1])
		if !ok {
			continue // the cuts were late, and then too close
		}
		shares = append(shares, rate/r.Quiet)
		r.Cuts++
		if after, ok := t.reaches(recovered*r.Quiet, cut, cuts[i+1]); ok {
			r.Recovered++
			r.Slowest = max(r.Slowest, after)
		}
	}
	if len(shares) > 0 {
		slices.Sort(shares)
		r.Worst, r.Median = shares[0], shares[len(shares)/2]
	}
	return r
}
