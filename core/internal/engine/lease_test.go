package engine

import (
	"testing"
	"time"
)

// Between the lapse and the moment that the alarm says so, a process that was stopped
// may read an answer.
func TestALeaseThatHasLapsedIsNotExtended(t *testing.T) {
	now := time.Now()
	e := lease{valid: Since(now.Add(-10*time.Second), 10*time.Second)}
	if e.extend(now, now); e.valid.Remaining(now) != 0 {
		t.Errorf("%v remaining", e.valid.Remaining(now))
	}
	e = lease{valid: Since(now.Add(-9*time.Second), 10*time.Second)}
	if e.extend(now, now); e.valid.Remaining(now) < 9*time.Second {
		t.Errorf("%v remaining, want nearly all", e.valid.Remaining(now))
	}
	if e.extend(now.Add(-time.Second), now); e.valid.Remaining(now) < 9*time.Second {
		t.Errorf("an older answer left %v", e.valid.Remaining(now))
	}
}
