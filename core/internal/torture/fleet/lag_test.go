package fleet

import (
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/locktest"
)

func TestOnlyWhatWasLateItselfExcuses(t *testing.T) {
	var m lagMeter
	since := now() - 10*time.Second
	m.add(lateness{at: since - time.Second, by: time.Hour}) // over by then
	m.add(lateness{at: since + 2*time.Second, by: time.Second})
	m.add(lateness{at: since + 2*time.Hour, by: time.Hour}) // not yet
	if by := grace + 2*time.Second; m.excuses(by, since) {
		t.Errorf("%v late, and the process was late by a second only", by)
	}
	if by := grace + time.Second; !m.excuses(by, since) {
		t.Errorf("%v late, and the process was so, too", by)
	}
}

func TestARedisThatWasStoppedWasLate(t *testing.T) {
	server := locktest.StartRedis(t)
	var m lagMeter
	stop := m.watch(server.Client(nil))
	const d = 3 * time.Second // the test itself may be late as well
	begun := now()
	server.Stop()
	time.Sleep(d)
	server.Continue()
	stop()
	if got := m.within(begun, begun+d); got < d*2/3 {
		t.Errorf("%v late, of %v", got, d)
	}
}

// A process that was stopped for 600 ms until just now may not be late by as much
// again.
func TestOnlyTheOverlapOfALatenessCounts(t *testing.T) {
	const second = time.Second
	var m lagMeter
	m.add(lateness{at: 10 * second, by: 6 * second}) // from 4 to 10
	m.add(lateness{at: 20 * second, by: second})     // from 19 to 20
	for _, c := range []struct{ from, to, want time.Duration }{
		{0, 3 * second, 0},
		{0, 5 * second, second},
		{5 * second, 6 * second, second},
		{9 * second, 12 * second, second},
		{10 * second, 12 * second, 0},
		{0, 30 * second, 7 * second},
		{9 * second, 19*second + second/2, second + second/2},
	} {
		if got := m.within(c.from, c.to); got != c.want {
			t.Errorf("from %v to %v: %v, want %v", c.from, c.to, got, c.want)
		}
	}
}
