package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/bench/internal/redisserver"
	"github.com/latchkey-go/latchkey/bench/internal/report"
)

// figures are what one contender did in one case, or the medians of several
// rounds. What is "each" is for one acquisition.
type figures struct {
	Acquired int     `json:"acquired"`
	Rate     float64 `json:"acquisitions_per_second"`

	// A wait is from the call until the lock is held, a cycle until it has
	// been given back.
	WaitP50  time.Duration `json:"wait_p50_ns"`
	WaitP99  time.Duration `json:"wait_p99_ns"`
	WaitMax  time.Duration `json:"wait_max_ns"`
	CycleP50 time.Duration `json:"cycle_p50_ns"`

	Commands float64       `json:"redis_commands_each"`
	Trips    float64       `json:"round_trips_each"`
	CPU      time.Duration `json:"client_cpu_each_ns"`
	RedisCPU time.Duration `json:"redis_cpu_each_ns"`
	Section  time.Duration `json:"mean_section_ns"`

	Goroutines spread `json:"goroutines"`
	Processes  spread `json:"processes"`

	// Overlaps, Errors and Error are of all rounds, and of the warm-up too.
	Overlaps int    `json:"overlaps"`
	Errors   int    `json:"errors"`
	Error    string `json:"error,omitempty"` // the first
}

// spread is how evenly the lock came to those who wanted it.
type spread struct {
	Least int `json:"least"`
	Most  int `json:"most"`
}

func (s spread) String() string { return fmt.Sprintf("%d/%d", s.Least, s.Most) }

// evenness is 1 if all had the same, and 0 if one had nothing.
func (s spread) evenness() float64 {
	if s.Most == 0 {
		return 0
	}
	return float64(s.Least) / float64(s.Most)
}

// newFigures sums up the reports of all processes.
func newFigures(reports []*workReport, redis redisserver.Counters, measured time.Duration) *figures {
	f := &figures{}
	var wait, cycle histogram
	var byGoroutine, byProcess []int
	var held, cpu time.Duration
	for _, r := range reports {
		sum := 0
		for _, n := range r.Acquired {
			sum += n
		}
		byProcess = append(byProcess, sum)
		byGoroutine = append(byGoroutine, r.Acquired...)
		f.Acquired += sum
		f.Overlaps += r.Overlaps
		f.Errors += r.Errors
		if f.Error == "" {
			f.Error = r.Error
		}
		wait.merge(r.Wait)
		cycle.merge(r.Cycle)
		held += r.Held
		cpu += r.CPU
	}
	f.Rate = float64(f.Acquired) / measured.Seconds()
	f.WaitP50, f.WaitP99, f.WaitMax = wait.quantile(0.5), wait.quantile(0.99), wait.max
	f.CycleP50 = cycle.quantile(0.5)
	f.Goroutines = spread{slices.Min(byGoroutine), slices.Max(byGoroutine)}
	f.Processes = spread{slices.Min(byProcess), slices.Max(byProcess)}
	if f.Acquired > 0 {
		f.Commands = float64(redis.Commands) / float64(f.Acquired)
		f.Trips = float64(redis.Reads) / float64(f.Acquired)
		f.RedisCPU = redis.CPU / time.Duration(f.Acquired)
		f.CPU = cpu / time.Duration(f.Acquired)
		f.Section = held / time.Duration(f.Acquired)
	}
	return f
}

// medians returns the median of each figure over the rounds, of which there is
// at least one.
func medians(rounds []*figures) *figures {
	m := &figures{
		Acquired:   report.MedianOf(rounds, func(f *figures) int { return f.Acquired }),
		Rate:       report.MedianOf(rounds, func(f *figures) float64 { return f.Rate }),
		WaitP50:    report.MedianOf(rounds, func(f *figures) time.Duration { return f.WaitP50 }),
		WaitP99:    report.MedianOf(rounds, func(f *figures) time.Duration { return f.WaitP99 }),
		WaitMax:    report.MedianOf(rounds, func(f *figures) time.Duration { return f.WaitMax }),
		CycleP50:   report.MedianOf(rounds, func(f *figures) time.Duration { return f.CycleP50 }),
		Commands:   report.MedianOf(rounds, func(f *figures) float64 { return f.Commands }),
		Trips:      report.MedianOf(rounds, func(f *figures) float64 { return f.Trips }),
		CPU:        report.MedianOf(rounds, func(f *figures) time.Duration { return f.CPU }),
		RedisCPU:   report.MedianOf(rounds, func(f *figures) time.Duration { return f.RedisCPU }),
		Section:    report.MedianOf(rounds, func(f *figures) time.Duration { return f.Section }),
		Goroutines: medianSpread(rounds, func(f *figures) spread { return f.Goroutines }),
		Processes:  medianSpread(rounds, func(f *figures) spread { return f.Processes }),
	}
	for _, f := range rounds {
		m.Overlaps += f.Overlaps
		m.Errors += f.Errors
		if m.Error == "" {
			m.Error = f.Error
		}
	}
	return m
}

// medianSpread is the spread whose evenness is the median: that of the least
// and that of the most may come from different rounds. Of an even number of
// rounds it is the worse of the two in the middle.
func medianSpread(rounds []*figures, of func(*figures) spread) spread {
	var all []spread
	for _, f := range rounds {
		all = append(all, of(f))
	}
	slices.SortFunc(all, func(a, b spread) int {
		switch {
		case a.evenness() < b.evenness():
			return -1
		case a.evenness() > b.evenness():
			return 1
		default:
			return 0
		}
	})
	return all[(len(all)-1)/2]
}
