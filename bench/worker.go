package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/bench/internal/machine"
)

// workerArg as the only argument makes this program a worker.
const workerArg = "worker"

const (
	// settle is how long callers may take to leave their sections after the
	// end, before those who still wait are told to give up.
	settle = 100 * time.Millisecond
	// horizon is the deadline of the callers' context, far away. redislock
	// would make one for each call if there were none.
	horizon = time.Hour
	// patience is how long they may take to give up.
	patience = 5 * time.Second
)

// A worker reads from its standard input, as one JSON value each, its job and,
// when it has answered "ready", its schedule, and writes its report. It ends at
// the latest when its standard input does, and so does not outlive its parent.

// job is what a worker is to do.
type job struct {
	Contender string        `json:"contender"`
	Scenario  scenario      `json:"scenario"`
	Process   int           `json:"process"` // which of the scenario's, from 0
	Addrs     []string      `json:"addrs"`   // of Redis, or of a cluster's nodes
	Witness   string        `json:"witness"` // the file
	Poll      time.Duration `json:"poll_ns"`
	// Slice has acquisitions counted in slices of time; zero does not.
	Slice time.Duration `json:"slice_ns,omitempty"`
	// Trial is another work than to be a scenario's callers; it needs Addrs only.
	Trial *trialJob `json:"trial,omitempty"`
}

// schedule is when acquisitions count, by the wall clock: all processes of a
// run are on one machine.
type schedule struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// workReport is what a worker has seen in that time.
type workReport struct {
	Acquired []int         `json:"acquired"` // by each goroutine
	Wait     *histogram    `json:"wait"`
	Cycle    *histogram    `json:"cycle"`
	Held     time.Duration `json:"held_ns"`
	CPU      time.Duration `json:"cpu_ns"`
	Overlaps int           `json:"overlaps"`
	Errors   int           `json:"errors"`
	Error    string        `json:"error,omitempty"`    // the first
	Timeline []int         `json:"timeline,omitempty"` // acquisitions in each slice
	CutOff   time.Duration `json:"cut_off_ns"`         // the longest wait that the end cut off
}

// ready is a worker's first answer.
type ready struct {
	Ready bool `json:"ready"`
}

// runWorker is the worker's main.
func runWorker(in io.Reader, out io.Writer) error {
	questions, answers := json.NewDecoder(bufio.NewReader(in)), json.NewEncoder(out)
	var j job
	if err := questions.Decode(&j); err != nil {
		return err
	}
	if j.Trial != nil {
		return workTrial(j, questions, answers)
	}
	c, ok := contenderNamed(j.Contender)
	if !ok {
		return fmt.Errorf("no contender is named %q", j.Contender)
	}
	w, err := openWitness(j.Witness)
	if err != nil {
		return err
	}
	defer w.close()
	l, err := c.open(circumstances{addrs: j.Addrs, cluster: j.Scenario.Cluster, callers: j.Scenario.Goroutines, poll: j.Poll})
	if err != nil {
		return err
	}
	defer l.close()
	if err := answers.Encode(ready{true}); err != nil {
		return err
	}
	var s schedule
	if err := questions.Decode(&s); err != nil {
		return err
	}
	go endWith(questions)
	report, err := work(j, s, l, w)
	if err != nil {
		return err
	}
	return answers.Encode(report)
}

// endWith ends this process with its parent.
func endWith(questions *json.Decoder) {
	_ = questions.Decode(new(struct{})) // blocks until the parent is gone
	os.Exit(1)
}

// work runs the callers of one process.
func work(j job, s schedule, l locker, w *witness) (*workReport, error) {
	start := time.Now()
	clock := func() time.Duration { return time.Since(start) }
	counted := window{s.From.Sub(start), s.To.Sub(start)}

	ctx, cancel := context.WithTimeout(context.Background(), horizon)
	defer cancel()
	var stopping atomic.Bool
	var running sync.WaitGroup
	callers := j.callers(w)
	for _, c := range callers {
		running.Go(func() { c.run(ctx, l, clock, counted, &stopping) })
	}

	time.Sleep(counted.from - clock())
	before, err := machine.CPUTime()
	if err != nil {
		return nil, err
	}
	time.Sleep(counted.to - clock())
	after, err := machine.CPUTime()
	if err != nil {
		return nil, err
	}

	stopping.Store(true)
	time.Sleep(settle + j.Scenario.Section)
	cancel()
	gone := make(chan struct{})
	go func() { running.Wait(); close(gone) }()
	select {
	case <-gone:
	case <-time.After(patience):
		return nil, errors.New("its waiters do not end with their context")
	}
	report := summary(callers)
	report.CPU = after - before
	return report, nil
}

// callers makes the callers, each with its keys.
func (j job) callers(w *witness) []*caller {
	callers := make([]*caller, j.Scenario.Goroutines)
	for i := range callers {
		number := j.Process*j.Scenario.Goroutines + i
		c := &caller{
			id: uint64(number) + 1, section: j.Scenario.Section,
			wait: new(histogram), cycle: new(histogram), slice: j.Slice,
		}
		if j.Scenario.Hot {
			slot := i % j.Scenario.slots()
			c.keys, c.slots = []string{fmt.Sprintf("hot %d", slot)}, []*atomic.Uint64{w.slot(slot)}
		} else {
			for k := range keysPerCaller {
				slot := number*keysPerCaller + k
				c.keys = append(c.keys, fmt.Sprintf("key %d", slot))
				c.slots = append(c.slots, w.slot(slot))
			}
		}
		callers[i] = c
	}
	return callers
}

// summary adds up what ended callers have seen.
func summary(callers []*caller) *workReport {
	r := &workReport{Wait: new(histogram), Cycle: new(histogram)}
	for _, c := range callers {
		r.Acquired = append(r.Acquired, c.acquired)
		r.Wait.merge(c.wait)
		r.Cycle.merge(c.cycle)
		r.Held += c.held
		for i, n := range c.timeline {
			if i == len(r.Timeline) {
				r.Timeline = append(r.Timeline, 0)
			}
			r.Timeline[i] += n
		}
		r.CutOff = max(r.CutOff, c.cutOff)
		r.Overlaps += c.overlaps
		r.Errors += c.errors
		if r.Error == "" && c.err != nil {
			r.Error = c.err.Error()
		}
	}
	return r
}
