package main

import (
	"encoding/json"
	"math/bits"
	"time"
)

const (
	// subBits is how many bits of a duration are told apart, beside its
	// highest: 128 buckets to the doubling, so a value is off by 0.4 % at most.
	subBits = 7
	subs    = 1 << subBits
	// Durations from 2^maxBits ns (4.6 min) on share the last bucket.
	maxBits = 38
	buckets = (maxBits - subBits + 1) * subs
)

// histogram counts durations in buckets of equal relative width: bounded memory
// however many there are. Its zero value is ready; it is not safe for
// concurrent use.
type histogram struct {
	counts [buckets]uint32
	n      uint64
	max    time.Duration
}

func (h *histogram) record(d time.Duration) {
	h.counts[bucketOf(d)]++
	h.n++
	h.max = max(h.max, d)
}

func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < subs {
		return int(v)
	}
	shift := bits.Len64(v) - 1 - subBits
	return min((shift<<subBits)+int(v>>shift), buckets-1)
}

// middleOf is the middle of a bucket's range.
func middleOf(bucket int) time.Duration {
	if bucket < 2*subs {
		return time.Duration(bucket)
	}
	shift := bucket>>subBits - 1
	low := uint64(bucket-shift<<subBits) << shift
	return time.Duration(low + uint64(1)<<shift/2)
}

// quantile returns the value that the share q of the recorded ones does not
// exceed, zero if there are none.
func (h *histogram) quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	rank := max(uint64(q*float64(h.n)+0.999999), 1)
	var seen uint64
	for i, c := range h.counts {
		if seen += uint64(c); seen >= rank {
			return min(middleOf(i), h.max)
		}
	}
	return h.max
}

func (h *histogram) merge(other *histogram) {
	for i, c := range other.counts {
		h.counts[i] += c
	}
	h.n += other.n
	h.max = max(h.max, other.max)
}

// sparse is how a histogram travels: most buckets are empty.
type sparse struct {
	Counts map[int]uint32 `json:"counts"`
	Max    time.Duration  `json:"max"`
}

func (h *histogram) MarshalJSON() ([]byte, error) {
	s := sparse{Counts: make(map[int]uint32), Max: h.max}
	for i, c := range h.counts {
		if c > 0 {
			s.Counts[i] = c
		}
	}
	return json.Marshal(s)
}

func (h *histogram) UnmarshalJSON(data []byte) error {
	var s sparse
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	*h = histogram{max: s.Max}
	for i, c := range s.Counts {
		if i >= 0 && i < buckets {
			h.counts[i] = c
			h.n += uint64(c)
		}
	}
	return nil
}
