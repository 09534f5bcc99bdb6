package hunt

import (
	"math"
	"slices"
	"testing"
)

// duplicate is an ID that came again, and in which slots.
type duplicate struct {
	id    int64
	slots [2]int
}

// duplicates sorts each list, and returns how many IDs in them came before,
// with a few examples.
func duplicates(lists [][]int64) (n int, examples []duplicate) {
	const most = 5
	for _, l := range lists {
		slices.Sort(l)
	}
	heads := slices.Clone(lists)
	last := duplicate{id: math.MinInt64}
	for {
		from := -1
		for i, l := range heads {
			if len(l) > 0 && (from < 0 || l[0] < heads[from][0]) {
				from = i
			}
		}
		if from < 0 {
			return n, examples
		}
		id := heads[from][0]
		heads[from] = heads[from][1:]
		if id == last.id {
			if n++; len(examples) < most {
				examples = append(examples, duplicate{id, [2]int{last.slots[0], from}})
			}
		}
		last = duplicate{id, [2]int{from}}
	}
}

func TestDuplicatesAreFoundWithinAndAcrossSlots(t *testing.T) {
	for name, c := range map[string]struct {
		lists [][]int64
		want  []duplicate
	}{
		"nothing":      {nil, nil},
		"none":         {[][]int64{{3, 1}, {}, {2}}, nil},
		"within":       {[][]int64{{7, 1, 7}, {2}}, []duplicate{{7, [2]int{0, 0}}}},
		"across":       {[][]int64{{5, 1}, {9, 5}}, []duplicate{{5, [2]int{0, 1}}}},
		"three times":  {[][]int64{{4}, {4}, {4}}, []duplicate{{4, [2]int{0, 1}}, {4, [2]int{1, 2}}}},
		"the smallest": {[][]int64{{math.MinInt64 + 1, math.MinInt64 + 1}}, []duplicate{{math.MinInt64 + 1, [2]int{0, 0}}}},
	} {
		n, got := duplicates(c.lists)
		if n != len(c.want) || !slices.Equal(got, c.want) {
			t.Errorf("%s: %d, %v; want %v", name, n, got, c.want)
		}
	}
}
