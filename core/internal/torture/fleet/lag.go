package fleet

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// lagMeter measures how late this process's timers are: what nothing in it can be
// blamed for. A machine may be busy, and a process stopped.
type lagMeter struct {
	mu    sync.Mutex
	worst []lateness // those that are worth a word
}

type lateness struct{ at, by time.Duration }

const (
	lagTick = 10 * time.Millisecond
	lagLeft = 20 * time.Millisecond // is no lag
	lagBeat = 100 * time.Millisecond
)

// start measures until stop is called, and has each lateness told, unless tell is
// nil; and from time to time one of zero, so that it is known until when there was
// no other.
func (m *lagMeter) start(tell func(lateness)) (stop func()) {
	return m.measure(func() bool { return true }, tell)
}

// watch measures how late a Redis is, and this process with it: from one answer to
// the next.
func (m *lagMeter) watch(rdb *redis.Client) (stop func()) {
	return m.measure(func() bool { return rdb.Ping(context.Background()).Err() == nil }, nil)
}

// measure is start for what is only there if it answers.
func (m *lagMeter) measure(answers func() bool, tell func(lateness)) (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		told := now()
		for last, over := told, false; !over; {
			select {
			case <-done:
				over = true // and it may have been late until now
			case <-time.After(lagTick):
			}
			if !answers() {
				continue
			}
			at := now()
			by := at - last - lagTick
			if by > lagLeft {
				m.add(lateness{at, by})
			} else {
				by = 0
			}
			if tell != nil && (by > 0 || over || at-told >= lagBeat) {
				tell(lateness{at, by})
				told = at
			}
			last = at
		}
	})
	return func() {
		close(done)
		running.Wait()
	}
}

func (m *lagMeter) add(l lateness) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.worst = append(m.worst, l)
}

// excuses tells whether something that was late by so much, from a moment until
// now, was so because the process was.
func (m *lagMeter) excuses(by, since time.Duration) bool {
	if by <= grace {
		return true
	}
	to := now()
	time.Sleep(3 * lagTick) // what has just been late is known now
	return by <= grace+m.within(since, to)
}

// within is for how long, between two moments, the timers were late. Only the part
// of a lateness that lies between them counts: a process that was stopped before a
// moment of interest has no excuse for what it does after that.
func (m *lagMeter) within(from, to time.Duration) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	var sum time.Duration
	first, _ := slices.BinarySearchFunc(m.worst, from, func(l lateness, t time.Duration) int { return cmp.Compare(l.at, t) })
	for _, l := range m.worst[first:] {
		if l.at-l.by > to {
			break
		}
		sum += min(l.at, to) - max(l.at-l.by, from)
	}
	return sum
}

// stopped is for how long from a moment on nothing went on, if the process was
// stopped just then.
func (m *lagMeter) stopped(at time.Duration) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.worst {
		if l.at > at && l.at-l.by <= at+2*lagTick {
			return l.at - at
		}
	}
	return 0
}
