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

// MedianOf is the median of a figure of the rounds, of which there is at least
// one.
func MedianOf[R any, T int | float64 | time.Duration](rounds []R, figure func(R) T) T {
	var all []T
	for _, r := range rounds {
		all = append(all, figure(r))
	}
	return Median(all)
}
