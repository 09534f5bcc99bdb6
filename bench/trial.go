package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/latchkey-go/latchkey/bench/internal/report"
)

// trial is a case of Latchkey alone: what it measures is a promise of its own,
// and no peer's.
type trial struct {
	name string
	// title is for people.
	title func(*options) string
	run   func(context.Context, *bench, *trialResults) error
	// table shows what run has found.
	table func(*trialResults) *report.Table
}

// trials are all of them, in the order in which they run.
func trials() []trial {
	return []trial{
		{"allocations", func(*options) string { return "Allocations of a handoff in one process, context and observer in place" }, runAllocations, allocationTable},
		{"waiters", func(o *options) string { return fmt.Sprintf("%s waiters on one key", report.Count(float64(o.waiters))) }, runWaiters, waiterTable},
		{"leases", func(o *options) string {
			return fmt.Sprintf("%s leases held for %v, TTL %v", report.Count(float64(o.leases)), o.hold, leaseTTL)
		}, runLeases, leaseTable},
		{"cuts", func(o *options) string {
			return fmt.Sprintf("Subscriptions cut every %v for %v, %s × %s, %d keys", cutEvery, o.cutting,
				plural(cutScenario.Processes, "process"), plural(cutScenario.Goroutines, "goroutine"), cutScenario.Keys)
		}, runCuts, cutTable},
	}
}

// trialResults are what the trials have found, nil where one has not run.
type trialResults struct {
	Allocations []allocationFigures `json:"allocations,omitempty"`
	Waiters     *waiterFigures      `json:"waiters,omitempty"`
	Leases      *leaseFigures       `json:"leases,omitempty"`
	Cuts        []*cutFigures       `json:"cuts,omitempty"`
	// Shown are the trials that have run, with their tables, Failures why others
	// have not.
	Shown    []report.Section `json:"-"`
	Failures []trialFailure   `json:"failures,omitempty"`
}

type trialFailure struct {
	Trial string `json:"trial"`
	Error string `json:"error"`
}

// measureTrials runs the trials that are asked for, and prints each.
func (b *bench) measureTrials(ctx context.Context, stdout, progress io.Writer) (*trialResults, error) {
	r := &trialResults{}
	for _, t := range b.options.trials() {
		err := t.run(ctx, b, r)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			fmt.Fprintf(progress, "%s: %v\n", t.name, err)
			r.Failures = append(r.Failures, trialFailure{t.name, err.Error()})
			continue
		}
		shown := report.Section{Name: t.name, Title: t.title(b.options), Table: t.table(r)}
		r.Shown = append(r.Shown, shown)
		if err := shown.Plain(stdout); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// trialJob is what a worker is to do for a trial; the trial's name decides which
// of the numbers count.
type trialJob struct {
	Name  string        `json:"name"`
	Count int           `json:"count,omitempty"`
	Hold  time.Duration `json:"hold_ns,omitempty"`
}

// trialWorkers are the workers' sides of the trials that have one of their own.
// What they return is their report.
var trialWorkers = map[string]func(j trialJob, addr string) (any, error){
	"allocations": func(_ trialJob, addr string) (any, error) { return workAllocations(addr) },
	"waiters":     func(j trialJob, addr string) (any, error) { return workWaiters(j.Count, addr) },
	"leases":      func(j trialJob, addr string) (any, error) { return workLeases(j.Count, j.Hold, addr) },
}

// runInWorker has one worker process do a trial, within a bounded time, and
// reads its report.
func (b *bench) runInWorker(ctx context.Context, j trialJob, bound time.Duration, report any) error {
	if err := b.redis.flush(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	crew, err := hire(ctx, []job{{Trial: &j, Addrs: b.redis.addrs()}})
	if err != nil {
		return err
	}
	defer crew.dismiss()
	if err := crew.workers[0].listen.Decode(report); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("it took longer than %v", bound)
		}
		return fmt.Errorf("its worker has no report: %w", err)
	}
	return nil
}

// workTrial is the worker's side of runInWorker.
func workTrial(j job, questions *json.Decoder, answers *json.Encoder) error {
	work, ok := trialWorkers[j.Trial.Name]
	if !ok {
		return fmt.Errorf("no trial is named %q", j.Trial.Name)
	}
	if err := answers.Encode(ready{true}); err != nil {
		return err
	}
	go endWith(questions)
	report, err := work(*j.Trial, j.Addrs[0])
	if err != nil {
		return err
	}
	return answers.Encode(report)
}
