package core

import (
	"fmt"
	"testing"
	"time"
)

func TestHoldTimesAreAMovingAverage(t *testing.T) {
	var h holdTimes
	if h = h.and(time.Second); h.mean != time.Second || h.deviation != 0 {
		t.Errorf("after the first: %v", h)
	}
	if h = h.and(9 * time.Second); h.mean != 2*time.Second || h.deviation != 2*time.Second {
		t.Errorf("after the second: %v, want an eighth and a quarter of the way", h)
	}
	for range 100 {
		h = h.and(10 * time.Millisecond)
	}
	if h.mean < 10*time.Millisecond || h.most() > 13*time.Millisecond {
		t.Errorf("it does not follow: %v, at most %v", h, h.most())
	}
	if (holdTimes{}).and(0) == (holdTimes{}) {
		t.Error("a hold of no time is taken for none")
	}
}

func TestHoldsAreKeptApartByNameAndByWatchedKey(t *testing.T) {
	p := newHistory()
	p.released("a", "", time.Hour)
	if h := p.holdsOf("b", ""); h != (holdTimes{}) {
		t.Errorf("a hold without a name counts for another key: %v", h)
	}
	p.released("a", "fast", time.Second)
	p.released("a", "slow", time.Minute)
	if fast, slow := p.holdsOf("a", "fast").mean, p.holdsOf("a", "slow").mean; fast != time.Second || slow != time.Minute {
		t.Errorf("fast %v, slow %v", fast, slow)
	}
	// From here on the key has times of its own.
	p.released("a", "fast", 5*time.Second)
	p.released("other", "fast", time.Millisecond)
	if h := p.holdsOf("a", "fast").mean; h != 5*time.Second {
		t.Errorf("of the key: %v", h)
	}
	if h := p.holdsOf("new", "fast").mean; h >= 5*time.Second {
		t.Errorf("of the name: %v", h)
	}
}

func TestAnOwnerIsAsOldAsItWasSeenToBe(t *testing.T) {
	p := newHistory()
	start := time.Now()
	at := func(d time.Duration) time.Time { return start.Add(d) }
	if age := p.ageOfOwner("k", start); age != 0 {
		t.Errorf("of nobody: %v", age)
	}
	p.seen("k", "a", start)
	p.seen("k", "a", at(time.Second))
	if age := p.ageOfOwner("k", at(2*time.Second)); age != 2*time.Second {
		t.Errorf("seen twice: %v", age)
	}
	p.seen("k", "b", at(3*time.Second))
	if age := p.ageOfOwner("k", at(4*time.Second)); age != time.Second {
		t.Errorf("of the next: %v", age)
	}
	p.seen("not a lease", "", start)
	p.seen("not a lease", "", at(time.Second))
	if age := p.ageOfOwner("not a lease", at(time.Second)); age != time.Second {
		t.Errorf("of what is not a lease: %v", age)
	}
}

func TestThePastHasABound(t *testing.T) {
	p := newHistory()
	for i := range 3 * maxPast {
		k := fmt.Sprint(i)
		p.released(k, k, time.Second)
		p.holdsOf(k, k)
		p.seen(k, "a", time.Now())
	}
	if len(p.byName) != maxPast || len(p.byKey) != maxPast || len(p.owners) != maxPast {
		t.Errorf("%d names, %d keys, %d owners; want %d", len(p.byName), len(p.byKey), len(p.owners), maxPast)
	}
}

func TestWhoIsNeverRefusedLeavesNoPast(t *testing.T) {
	p := newHistory()
	for i := range 10 {
		p.released(fmt.Sprint(i), "route", time.Second)
	}
	if len(p.byKey) != 0 || len(p.owners) != 0 || len(p.byName) != 1 {
		t.Errorf("%d keys, %d owners, %d names", len(p.byKey), len(p.owners), len(p.byName))
	}
}

func TestTheEndOfAHoldIsNotedWithoutAllocations(t *testing.T) {
	p := newHistory()
	p.holdsOf("k", "route")
	p.released("k", "route", time.Second)
	if n := testing.AllocsPerRun(100, func() {
		p.released("k", "route", time.Second)
		p.released("another", "route", time.Second)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
