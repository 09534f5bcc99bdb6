package uncontended

import (
	"slices"
	"testing"
	"time"
)

// Medians are durations of "locked", "trip" and "bare" requests, taken in turn.
type Medians map[string][]time.Duration

// Took adds one.
func (m Medians) Took(kind string, d time.Duration) { m[kind] = append(m[kind], d) }

// Report reports the medians, and the ratio of a locked request to a round trip.
func (m Medians) Report(b *testing.B) {
	median := func(kind string) float64 {
		slices.Sort(m[kind])
		return float64(m[kind][len(m[kind])/2].Nanoseconds()) / 1e3
	}
	b.ReportMetric(0, "ns/op") // of all together: says nothing
	b.ReportMetric(median("locked"), "locked-µs")
	b.ReportMetric(median("trip"), "trip-µs")
	b.ReportMetric(median("bare"), "bare-µs")
	b.ReportMetric(median("locked")/median("trip"), "ratio")
}
