package timer_test

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/timer"
)

// inBubble runs a test on a schedule in simulated time. The bubble does not end
// before the schedule's goroutine has.
func inBubble(t *testing.T, test func(t *testing.T, s *timer.Schedule)) {
	synctest.Test(t, func(t *testing.T) {
		s := timer.NewSchedule()
		defer s.Close()
		test(t, s)
	})
}

// task is a function as a task.
type task func()

func (f task) Due() { f() }

func set(s *timer.Schedule, a *timer.Alarm, at time.Time, f func()) { s.Set(a, at, task(f)) }

func TestFunctionsAreCalledAtTheirTimesInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, s *timer.Schedule) {
		start := time.Now()
		var at []time.Duration // by the schedule's goroutine only, until Wait
		alarms := make([]timer.Alarm, 6)
		for i, after := range []time.Duration{5, 1, 3, 2, 4, 100_000} {
			after *= time.Second
			set(s, &alarms[i], start.Add(after), func() {
				if got := time.Since(start); got != after {
					t.Errorf("called after %v, want %v", got, after)
				}
				at = append(at, after)
			})
		}
		time.Sleep(200_000 * time.Second)
		synctest.Wait()
		if len(at) != len(alarms) || !slices.IsSorted(at) {
			t.Errorf("called in the order %v", at)
		}
	})
}

func TestWhatIsDueIsCalledAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, s *timer.Schedule) {
		start := time.Now()
		for _, at := range []time.Time{start, start.Add(-time.Hour), {}} {
			called := make(chan struct{})
			set(s, new(timer.Alarm), at, func() { close(called) })
			<-called
			if waited := time.Since(start); waited != 0 {
				t.Errorf("due at %v, called after %v", at, waited)
			}
		}
	})
}

func TestSetReplacesWhatWasSet(t *testing.T) {
	for name, times := range map[string][2]time.Duration{"earlier": {2, 1}, "later": {1, 2}, "same time": {1, 1}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *timer.Schedule) {
				start := time.Now()
				var a, other timer.Alarm
				var calls []time.Duration
				set(s, &other, start.Add(90*time.Minute), func() {})
				set(s, &a, start.Add(times[0]*time.Hour), func() { t.Error("what was replaced is called") })
				set(s, &a, start.Add(times[1]*time.Hour), func() { calls = append(calls, time.Since(start)) })
				time.Sleep(3 * time.Hour)
				synctest.Wait()
				if len(calls) != 1 || calls[0] != times[1]*time.Hour {
					t.Errorf("called after %v, want once, after %v", calls, times[1]*time.Hour)
				}
			})
		})
	}
}

func TestClearedAlarmIsNotCalled(t *testing.T) {
	inBubble(t, func(t *testing.T, s *timer.Schedule) {
		start := time.Now()
		alarms := make([]timer.Alarm, 5)
		var called []int
		for i := range alarms {
			set(s, &alarms[i], start.Add(time.Duration(i+1)*time.Second), func() { called = append(called, i) })
		}
		s.Clear(&alarms[0]) // the next
		s.Clear(&alarms[2])
		s.Clear(&alarms[4]) // the last
		s.Clear(&alarms[4]) // again
		s.Clear(new(timer.Alarm))
		time.Sleep(time.Minute)
		synctest.Wait()
		if !slices.Equal(called, []int{1, 3}) {
			t.Errorf("called %v, want 1 and 3", called)
		}
		s.Clear(&alarms[1]) // it has been called
		set(s, &alarms[0], time.Now().Add(time.Second), func() { called = nil })
		time.Sleep(time.Minute)
		synctest.Wait()
		if called != nil {
			t.Error("what is set after Clear is not called")
		}
	})
}

func TestFunctionMaySetAndClear(t *testing.T) {
	inBubble(t, func(t *testing.T, s *timer.Schedule) {
		start := time.Now()
		var a, b timer.Alarm
		var calls []time.Duration
		var again func()
		again = func() {
			calls = append(calls, time.Since(start))
			if len(calls) < 4 {
				set(s, &a, time.Now().Add(time.Second), again) // itself
			} else {
				s.Clear(&b)
			}
		}
		set(s, &a, start.Add(time.Second), again)
		set(s, &b, start.Add(10*time.Second), func() { t.Error("what was cleared is called") })
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second}; !slices.Equal(calls, want) {
			t.Errorf("called after %v, want %v", calls, want)
		}
	})
}

func TestFunctionsAreCalledOneAfterAnother(t *testing.T) {
	inBubble(t, func(t *testing.T, s *timer.Schedule) {
		var inside atomic.Int32
		alarms := make([]timer.Alarm, 20)
		for i := range alarms {
			set(s, &alarms[i], time.Now(), func() {
				if inside.Add(1) != 1 {
					t.Error("two at once")
				}
				time.Sleep(time.Second)
				inside.Add(-1)
			})
		}
		time.Sleep(time.Minute)
	})
}

func TestCloseEndsWithoutCallingTheRest(t *testing.T) {
	inBubble(t, func(t *testing.T, s *timer.Schedule) {
		var a, b, c timer.Alarm
		fail := func() { t.Error("called after Close") }
		running, ended := make(chan struct{}), false
		set(s, &a, time.Now(), func() {
			close(running)
			time.Sleep(time.Second)
			ended = true
		})
		<-running
		set(s, &b, time.Now(), fail) // due, but it has to wait for a
		set(s, &c, time.Now().Add(time.Hour), fail)
		s.Close()
		if !ended {
			t.Error("Close has not waited for the function that was running")
		}
		set(s, &a, time.Now(), fail)
		s.Clear(&c)
		s.Close()
		time.Sleep(2 * time.Hour)
	})
}

func TestCloseOfManyIsForAll(t *testing.T) {
	inBubble(t, func(t *testing.T, s *timer.Schedule) {
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(s.Close)
		}
		wg.Wait()
	})
}

func TestTenThousandAlarmsNeedOneGoroutine(t *testing.T) {
	inBubble(t, func(t *testing.T, s *timer.Schedule) {
		synctest.Wait()
		before := runtime.NumGoroutine()
		const n = 10_000
		start := time.Now()
		alarms := make([]timer.Alarm, n)
		at := make([]time.Duration, 0, n)
		for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
			after := time.Duration(i) * time.Millisecond
			set(s, &alarms[i], start.Add(after), func() { at = append(at, time.Since(start)) })
		}
		if more := runtime.NumGoroutine() - before; more > 0 {
			t.Errorf("%d goroutines more", more)
		}
		time.Sleep(n * time.Millisecond)
		synctest.Wait()
		if len(at) != n {
			t.Fatalf("%d called, want %d", len(at), n)
		}
		for i, got := range at {
			if want := time.Duration(i) * time.Millisecond; got != want {
				t.Fatalf("call %d after %v, want %v", i, got, want)
			}
		}
	})
}

// Goes for the race detector, and for the heap's book-keeping: whatever is done
// at once, each alarm is called at most once for each time it was set, and not
// at all once it has been cleared and left alone.
func TestManyMaySetAndClearAtOnce(t *testing.T) {
	s := timer.NewSchedule()
	const goroutines, rounds = 8, 2000
	alarms := make([]timer.Alarm, 16)
	var sets, calls atomic.Int64
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 3))
			for range rounds {
				a := &alarms[r.IntN(len(alarms))]
				if r.IntN(3) == 0 {
					s.Clear(a)
					continue
				}
				sets.Add(1)
				set(s, a, time.Now().Add(time.Duration(r.IntN(200)-100)*time.Microsecond), func() { calls.Add(1) })
			}
		})
	}
	wg.Wait()
	for i := range alarms {
		s.Clear(&alarms[i])
	}
	marker := make(chan struct{})
	set(s, new(timer.Alarm), time.Time{}, func() { close(marker) })
	<-marker // whatever was being called has returned
	n := calls.Load()
	if n == 0 || n > sets.Load() {
		t.Errorf("%d calls of %d", n, sets.Load())
	}
	s.Close()
	if more := calls.Load() - n; more != 0 {
		t.Errorf("%d calls after all was cleared", more)
	}
}
