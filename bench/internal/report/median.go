package report

import (
	"slices"
	"time"
)

// Median is that of one value at least: of an even number of them, the mean of
// the two in the middle.
func Median[T int | float64 | time.Duration](values []T) T {
	all := slices.Sorted(slices.Values(values))
	middle := len(all) / 2
	if len(all)%2 == 0 {
		return (all[middle-1] + all[middle]) / 2
	}
	return all[middle]
}
