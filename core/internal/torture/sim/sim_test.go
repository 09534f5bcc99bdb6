package sim

import (
	"reflect"
	"testing"
)

// A seed decides on what happens: it must find again what it has found. The order
// of what happens at one moment is the scheduler's, so a world with one caller is
// the one that must be the same to the last token.
func TestASeedMeansTheSameEachTime(t *testing.T) {
	const seed = 7
	first, second := Run(t, seed), Run(t, seed)
	if len(first.Attempts) == 0 || len(first.Attempts) != len(second.Attempts) {
		t.Fatalf("%d attempts, and then %d", len(first.Attempts), len(second.Attempts))
	}
	same := 0
	for i := range first.Attempts {
		if reflect.DeepEqual(first.Attempts[i], second.Attempts[i]) {
			same++
		}
	}
	t.Logf("%d of %d attempts are the same, to the nanosecond", same, len(first.Attempts))
	if 2*same < len(first.Attempts) {
		t.Errorf("only %d of %d attempts are the same", same, len(first.Attempts))
	}
}
