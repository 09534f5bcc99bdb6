package timer

import (
	"container/heap"
	"sync"
	"time"
)

// Schedule calls tasks at their times, one after another, from one goroutine
// and with one timer, however many are due: neither is needed for each lease.
// A task must not block.
type Schedule struct {
	mu     sync.Mutex
	due    dueHeap
	asleep time.Time     // until when the goroutine sleeps; zero if it does not
	wake   chan struct{} // capacity 1
	closed bool
	stop   chan struct{}
	done   chan struct{}
}

// Task is what an Alarm is set for. It is an interface, not a function, so that a
// lease needs no closure for each of its alarms.
type Task interface{ Due() }

// Alarm is one place in a Schedule. The zero Alarm is ready to use with one
// Schedule; it must not be copied.
type Alarm struct {
	at    time.Time
	task  Task
	index int32 // in the heap, from 1; 0 if not set
	fired bool  // task was called, or is being called, since the last Set
}

// Rests tells whether nothing will call a's task any more, and nothing is
// calling it. Only for who is the last to set and clear it.
func (a *Alarm) Rests() bool { return a.index == 0 && !a.fired }

// NewSchedule starts a schedule. Close must be called to end its goroutine.
func NewSchedule() *Schedule {
	s := &Schedule{wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go s.run()
	return s
}

// Set has task called at the time at, or at once if that has passed. It replaces
// what a was set to before. After Close it does nothing.
func (s *Schedule) Set(a *Alarm, at time.Time, task Task) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	a.at, a.task, a.fired = at, task, false
	if a.index == 0 {
		heap.Push(&s.due, a)
	} else {
		heap.Fix(&s.due, int(a.index-1))
	}
	// Nearly all alarms are later than one that was there before, if only one
	// that was cleared since; then nobody need be woken.
	wake := at.Before(s.asleep)
	if wake {
		s.asleep = time.Time{}
	}
	s.mu.Unlock()
	if wake {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// Clear takes a off the schedule. Its task may be running just now.
func (s *Schedule) Clear(a *Alarm) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.index != 0 {
		heap.Remove(&s.due, int(a.index-1))
	}
}

// Close ends the schedule; what is still on it is not called. It returns when
// the goroutine has ended, and must not be called from a task.
func (s *Schedule) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.stop)
	}
	s.mu.Unlock()
	<-s.done
}

func (s *Schedule) run() {
	defer close(s.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return
		}
		wait := time.Hour
		now := time.Now()
		if len(s.due) > 0 {
			a := s.due[0]
			if wait = a.at.Sub(now); wait <= 0 {
				heap.Remove(&s.due, 0)
				task := a.task
				a.fired = true
				s.mu.Unlock()
				task.Due()
				continue
			}
		}
		s.asleep = now.Add(wait)
		s.mu.Unlock()
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-s.wake:
		case <-s.stop:
		}
	}
}

// dueHeap orders alarms by time.
type dueHeap []*Alarm

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }

func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = int32(i+1), int32(j+1)
}

func (h *dueHeap) Push(x any) {
	a := x.(*Alarm)
	*h = append(*h, a)
	a.index = int32(len(*h))
}

func (h *dueHeap) Pop() any {
	old := *h
	a := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	a.index = 0
	return a
}
