package main

import (
	"fmt"

	"github.com/latchkey-go/latchkey/bench/internal/report"
)

// none is what a cell says that has nothing to say.
const none = "–"

// column is one column of a case's table.
type column struct {
	head string
	cell func(*caseResult, *figures) string
}

// columns are those of a case; the contender's name goes before them.
func (c *caseResult) columns() []column {
	each := column{"time/ID", func(_ *caseResult, f *figures) string { return nanoseconds(f.Each) }}
	cpu := column{"CPU/ID", func(_ *caseResult, f *figures) string { return nanoseconds(f.cpu()) }}
	rate := column{"IDs/s", func(_ *caseResult, f *figures) string { return report.Count(f.rate()) }}
	allocs := column{"allocations/ID", func(_ *caseResult, f *figures) string { return fmt.Sprintf("%.2f", f.Allocs) }}
	cores := column{"cores busy", func(_ *caseResult, f *figures) string { return fmt.Sprintf("%.2f", f.Cores) }}
	switch {
	case c.Scenario.Sustained:
		return []column{rate, {"/ limit", func(_ *caseResult, f *figures) string { return fmt.Sprintf("%.4f", f.rate()/limit) }}, cores, allocs}
	case c.Scenario.Batch:
		return []column{each, cpu, rate, allocs}
	default:
		return []column{each, against("ulid", nameULID), against("google v7", nameGoogleV7), cpu, rate, allocs}
	}
}

// against compares the time for an ID with another contender's.
func against(head, name string) column {
	return column{"/ " + head, func(c *caseResult, f *figures) string {
		other := c.of(name)
		if other == nil {
			return none
		}
		return fmt.Sprintf("%.3g", f.Each/other.Each)
	}}
}

// nanoseconds is a time that may be shorter than one.
func nanoseconds(v float64) string { return fmt.Sprintf("%.3g ns", v) }

// table shows one case.
func (c *caseResult) table() *report.Table {
	columns := c.columns()
	t := &report.Table{Head: []string{""}}
	for _, col := range columns {
		t.Head = append(t.Head, col.head)
	}
	t.Head = append(t.Head, "rounds: time/ID")
	for _, o := range c.Outcomes {
		row := []string{o.Contender}
		for _, col := range columns {
			if o.Median == nil {
				row = append(row, none)
			} else {
				row = append(row, col.cell(c, o.Median))
			}
		}
		t.Rows = append(t.Rows, append(row, o.spread()))
	}
	return t
}

// spread is how far the rounds are apart.
func (o *outcome) spread() string {
	if len(o.Rounds) == 0 {
		return none
	}
	least, most := o.Rounds[0].Each, o.Rounds[0].Each
	for _, f := range o.Rounds {
		least, most = min(least, f.Each), max(most, f.Each)
	}
	return fmt.Sprintf("%.3g to %.3g ns", least, most)
}

// notes say what the table of a case has no column for.
func (c *caseResult) notes() []string {
	var notes []string
	for _, o := range c.Outcomes {
		if o.Failure != "" {
			notes = append(notes, fmt.Sprintf("%s: a round failed: %s", o.Contender, o.Failure))
		}
	}
	return notes
}

// section is the case in a report.
func (c *caseResult) section() report.Section {
	return report.Section{Title: c.Scenario.title, Name: c.Scenario.Name, Table: c.table(), Notes: c.notes()}
}

// legend explains the columns.
const legend = `The figures are medians over the rounds; ratios are of medians. A time per ID is the inverse of the rate of all callers
together; CPU per ID is what the process used, which other processes on the machine change less. Allocations are heap
objects of the whole process for each ID, renewals of leases and refills included. Every contender has a loop of its own
around a direct call, and looks at each error.

google/uuid "pooled" is after EnableRandPool, which has it read random bytes in stock: a switch for the whole process that
is off by default. sony/sonyflake has 25,600 IDs a second by default; with 20 bits of sequence the limit is its lock.
bwmarrin/snowflake has the default layout of idgen's, 4,096,000 IDs a second, and spins while it waits.

idgen's Snowflake is measured with one bit of worker number and 21 of sequence, so that the layout is not the limit. "Seam"
is with a clock (the option idgen.Clock) that is read out of memory and advances each 10,000 IDs; beside it is the same with
the system's monotonic clock, as in use. The sustained rate is of one with all its defaults, after what it had in stock is
used up.

idgen's Sequence has its defaults, too, and a Redis on the same machine. Where its rate doubles, each Next is timed: at
100,000 a second and then twice as many, a few each millisecond. The machine has stalls of its own, so the same loop is run
with a generator that needs no Redis, a UUIDv7.
`

// document is everything.
func (r *results) document() *report.Document {
	d := &report.Document{
		Title:  "idgen and its peers, measured",
		Origin: "Written by `make bench-ids`. One machine, one run: trust the ratios.",
		Facts:  append(r.Machine.Lines(), r.Options),
		Legend: legend,
		Claims: r.Claims,
	}
	for _, c := range r.Cases {
		d.Sections = append(d.Sections, c.section())
	}
	if r.Doubling != nil {
		d.Sections = append(d.Sections, r.Doubling.section())
	}
	return d
}
