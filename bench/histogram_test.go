package main

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestABucketIsWithinHalfAPercentOfItsDurations(t *testing.T) {
	for d := time.Duration(1); d < 4*time.Minute; d += d/100 + 1 {
		got := middleOf(bucketOf(d))
		if off := float64(got-d) / float64(d); off > 0.005 || off < -0.005 {
			t.Fatalf("%d ns is kept as %d ns: off by %.2f %%", d, got, 100*off)
		}
	}
}

func TestDurationsOutOfRangeHaveABucket(t *testing.T) {
	for _, d := range []time.Duration{-1, 0, 1 << maxBits, 1<<63 - 1} {
		if b := bucketOf(d); b < 0 || b >= buckets {
			t.Errorf("%d ns has bucket %d of %d", d, b, buckets)
		}
	}
}

func TestQuantilesAreThoseOfTheSortedDurations(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var all []time.Duration
	var a, b histogram
	for i := range 10_000 {
		d := time.Duration(random.ExpFloat64() * float64(time.Millisecond))
		all = append(all, d)
		if i%2 == 0 {
			a.record(d)
		} else {
			b.record(d)
		}
	}
	slices.Sort(all)
	a.merge(&b)

	// As it travels from a worker to its parent.
	text, err := json.Marshal(&a)
	if err != nil {
		t.Fatal(err)
	}
	var h histogram
	if err := json.Unmarshal(text, &h); err != nil {
		t.Fatal(err)
	}
	if h != a {
		t.Error("a histogram changes on its way through JSON")
	}

	for _, q := range []float64{0, 0.5, 0.99, 0.999, 1} {
		want := all[max(int(q*float64(len(all))), 1)-1]
		got := h.quantile(q)
		if off := float64(got-want) / float64(want); off > 0.01 || off < -0.01 {
			t.Errorf("quantile(%v) = %v; want %v", q, got, want)
		}
	}
	if h.max != all[len(all)-1] {
		t.Errorf("max = %v; want %v", h.max, all[len(all)-1])
	}
}

func TestAnEmptyHistogramHasQuantilesOfZero(t *testing.T) {
	if got := new(histogram).quantile(0.99); got != 0 {
		t.Errorf("quantile = %v; want 0", got)
	}
}
