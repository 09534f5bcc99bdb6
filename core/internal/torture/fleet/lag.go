package fleet

import (
	"cmp"
	"slices"
	"sync"
	"time"
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
)

// start measures until stop is called.
func (m *lagMeter) start() (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for last := now(); ; {
			select {
			case <-done:
				return
			case <-time.After(lagTick):
			}
			at := now()
			if by := at - last - lagTick; by > lagLeft {
				m.mu.Lock()
				m.worst = append(m.worst, lateness{at, by})
				m.mu.Unlock()
			}
			last = at
		}
	})
	return func() {
		close(done)
		running.Wait()
	}
}

// since is the sum of what was late after a moment.
func (m *lagMeter) since(moment time.Duration) time.Duration { return m.within(moment, now()) }

// within is the sum of what was late between two moments.
func (m *lagMeter) within(from, to time.Duration) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	var sum time.Duration
	first, _ := slices.BinarySearchFunc(m.worst, from, func(l lateness, t time.Duration) int { return cmp.Compare(l.at, t) })
	for _, l := range m.worst[first:] {
		if l.at-l.by > to {
			break
		}
		sum += l.by
	}
	return sum
}
