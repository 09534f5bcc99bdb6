package fleet

import (
	"math/rand/v2"
	"testing"
)

// Where each process has a line of its own, whoever waits stands in it, and whoever
// does not asks for the others' keys.
func TestWhoWaitsStandsInTheLineOfHisProcess(t *testing.T) {
	for process := range uint32(6) {
		c := &caller{worker: &worker{Work: Work{Lines: true, Keys: 3, Process: process + 1}}, random: rand.New(rand.NewPCG(1, 1))}
		own, others := int(process)%3, map[int]bool{}
		for range 100 {
			if got := c.key(false); got != own {
				t.Fatalf("one of process %d stands in line for key %d", process+1, got)
			}
			others[c.key(true)] = true
		}
		if len(others) != 2 || others[own] {
			t.Errorf("those of process %d who do not wait ask for %v", process+1, others)
		}
	}
}

func TestATokenThatFallsIsCounted(t *testing.T) {
	l := newLedger()
	for i, r := range []record{
		{key: 0, token: 5}, {key: 0, token: 9}, {key: 0, token: 6}, {key: 0, token: 7}, {key: 1, token: 1}, {key: 0, token: 10},
	} {
		r.attempt = uint32(i)
		r.what = asked
		l.take(7, r)
		r.what = granted
		l.take(7, r)
	}
	if l.falls != 2 {
		t.Errorf("%d tokens have fallen", l.falls)
	}
}
