package onceper

import (
	"strconv"
	"testing"
)

func TestEachNameIsFirstOnceAndTheirNumberIsBounded(t *testing.T) {
	var s Set
	first := 0
	for range 2 {
		for i := range 3 * limit {
			if s.First(strconv.Itoa(i)) {
				first++
			}
		}
	}
	if first != limit {
		t.Errorf("%d names are first, want %d", first, limit)
	}
}
