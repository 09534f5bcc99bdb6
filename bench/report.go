package main

import (
	"fmt"
	"strconv"

	"github.com/latchkey-go/latchkey/bench/internal/report"
)

// none is what a cell says that has nothing to say.
const none = "–"

// column is one column of a case's table.
type column struct {
	head string
	cell func(f, best *figures) string // best are the best peer's figures, nil without a peer
}

// columns are those of a case; the contender's name goes before them.
func columns(s scenario) []column {
	against := func(of func(*figures) float64) func(f, best *figures) string {
		return func(f, best *figures) string {
			if best == nil || f.Acquired == 0 {
				return none
			}
			return fmt.Sprintf("%.3g", of(f)/of(best))
		}
	}
	all := []column{
		{"acquired/s", func(f, _ *figures) string { return report.Count(f.Rate) }},
		{"/ best peer", against(func(f *figures) float64 { return f.Rate })},
		{"wait p50", func(f, _ *figures) string { return report.Short(f.WaitP50) }},
		{"p99", func(f, _ *figures) string { return report.Short(f.WaitP99) }},
		{"/ best peer", against(func(f *figures) float64 { return float64(f.WaitP99) })},
		{"max", func(f, _ *figures) string { return report.Short(f.WaitMax) }},
		{"cycle p50", func(f, _ *figures) string { return report.Short(f.CycleP50) }},
		{"commands", func(f, _ *figures) string { return fmt.Sprintf("%.3g", f.Commands) }},
		{"trips", func(f, _ *figures) string { return fmt.Sprintf("%.3g", f.Trips) }},
		{"client CPU", func(f, _ *figures) string { return report.Short(f.CPU) }},
		{"Redis CPU", func(f, _ *figures) string { return report.Short(f.RedisCPU) }},
		{"per goroutine", func(f, _ *figures) string { return f.Goroutines.String() }},
	}
	if s.Processes > 1 {
		all = append(all, column{"per process", func(f, _ *figures) string { return f.Processes.String() }})
	}
	return append(all,
		column{"overlaps", func(f, _ *figures) string { return strconv.Itoa(f.Overlaps) }},
		column{"errors", func(f, _ *figures) string { return strconv.Itoa(f.Errors) }})
}

// table shows one case.
func (c *caseResult) table() *report.Table {
	columns := columns(c.Scenario)
	t := &report.Table{Head: []string{""}}
	for _, col := range columns {
		t.Head = append(t.Head, col.head)
	}
	var best *figures
	if o := c.best(peer, faster); o != nil {
		best = o.Median
	}
	for _, o := range c.Outcomes {
		row := []string{o.Contender}
		for _, col := range columns {
			if o.Median == nil {
				row = append(row, none)
			} else {
				row = append(row, col.cell(o.Median, best))
			}
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// notes says what the table of a case has no column for.
func (c *caseResult) notes() []string {
	var notes []string
	if best := c.best(peer, faster); best != nil {
		notes = append(notes, "best peer: "+best.Contender)
	}
	for _, o := range c.Outcomes {
		if o.Median != nil && o.Median.Error != "" {
			notes = append(notes, fmt.Sprintf("%s: first error: %s", o.Contender, o.Median.Error))
		}
		if o.Failure != "" {
			notes = append(notes, fmt.Sprintf("%s: a round failed: %s", o.Contender, o.Failure))
		}
	}
	return notes
}

// section is the case in a report.
func (c *caseResult) section() report.Section {
	return report.Section{Title: c.Scenario.title(), Name: c.Scenario.Name, Table: c.table(), Notes: c.notes()}
}

// legend explains the columns.
const legend = `A wait is the time from the call until the lock is held; waits that the end of the case cuts off are not counted, which
flatters those who starve some of their waiters. A cycle lasts until the lock has been given back, too. Commands are
what Redis executed for each acquisition, those inside scripts as well; trips are how often it read from a socket for
each (requests that arrive together are one). Client CPU is user and system time of the worker processes for each
acquisition, Redis CPU that of all its servers. Per goroutine and per process are the least and the most acquisitions that one had. Every critical section
is watched for a second holder: overlaps.

A cluster is of the run's own and on the same machine. It has no replicas, so that all its nodes take their part of the
load; how long a master's failure keeps a lock is not measured here.

The best peer is the one with the most acquisitions per second in that case. A variant is a peer made faster at a price,
and is not the best peer: "recipe, lazy" polls each 20 ms, so that who has had the lock mostly has it again; "redislock,
pipelined" sends through go-redis's AutoPipeliner, whose calls do not end with their context while Redis hangs.

Allocations are heap objects of the whole process for each acquisition, and are judged as go test -benchmem has them,
rounded down: beside a handoff's own, which are a whole number, there are those of renewals and of a lease that found
nobody in line. The heap of a lease or a waiter is that of live objects after garbage collection, without the caller's own
keys, references and, for waiters, what as many goroutines have that are blocked in a select of two cases.
`

// document is everything.
func (r *results) document() *report.Document {
	d := &report.Document{
		Title:  "Latchkey and its peers, measured",
		Origin: "Written by `make bench`. One machine, one run: trust the ratios.",
		Facts:  append(r.Machine.Lines(), "options: "+r.Options),
		Legend: legend,
		Claims: r.Claims,
	}
	for _, c := range r.Cases {
		d.Sections = append(d.Sections, c.section())
	}
	if r.Trials != nil {
		d.Sections = append(d.Sections, r.Trials.Shown...)
		for _, f := range r.Trials.Failures {
			d.Failures = append(d.Failures, fmt.Sprintf("%s failed: %s", f.Trial, f.Error))
		}
	}
	return d
}
