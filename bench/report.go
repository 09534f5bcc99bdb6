package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
)

// table shows one case.
func (c *caseResult) table() *table {
	t := &table{head: []string{"", "acquired/s", "× best peer", "wait p50", "p99", "max", "p99 / best peer's", "cycle p50",
		"commands", "trips", "client CPU", "goroutine least/most", "process least/most", "overlaps", "errors"}}
	fastest := c.best(peer, faster)
	for _, o := range c.Outcomes {
		t.rows = append(t.rows, o.row(fastest, c.Scenario))
	}
	return t
}

func (o *outcome) row(fastest *outcome, s scenario) []string {
	const none = "–"
	f := o.Median
	cells := []string{o.Contender}
	if f == nil {
		for range 13 {
			cells = append(cells, none)
		}
		return append(cells, "failed")
	}
	ratio, tail := none, none
	if fastest != nil && f.Acquired > 0 {
		ratio = fmt.Sprintf("%.3g", f.Rate/fastest.Median.Rate)
		tail = fmt.Sprintf("%.3g", float64(f.WaitP99)/float64(fastest.Median.WaitP99))
	}
	processes := none
	if s.Processes > 1 {
		processes = fmt.Sprintf("%d/%d", f.Processes.Least, f.Processes.Most)
	}
	return append(cells,
		count(f.Rate), ratio, short(f.WaitP50), short(f.WaitP99), short(f.WaitMax), tail, short(f.CycleP50),
		fmt.Sprintf("%.3g", f.Commands), fmt.Sprintf("%.3g", f.Trips), short(f.CPU),
		fmt.Sprintf("%d/%d", f.Goroutines.Least, f.Goroutines.Most), processes,
		strconv.Itoa(f.Overlaps), strconv.Itoa(f.Errors))
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

// claimTable shows what must be shown.
func (r *results) claimTable() *table {
	t := &table{head: []string{"Must show", "figure", "measured", "", "against a variant"}, text: true}
	for _, c := range r.Claims {
		t.rows = append(t.rows, []string{c.Row, c.Want, c.Got, c.Verdict, c.Variant})
	}
	return t
}

// printCase writes one case for a terminal.
func printCase(w io.Writer, c *caseResult) error {
	if _, err := fmt.Fprintf(w, "\n%s (-case %q)\n", c.Scenario.title(), c.Scenario.Name); err != nil {
		return err
	}
	if err := c.table().plain(w); err != nil {
		return err
	}
	for _, n := range c.notes() {
		if _, err := fmt.Fprintln(w, "  "+n); err != nil {
			return err
		}
	}
	return nil
}

// legend explains the columns.
const legend = `A wait is the time from the call until the lock is held; waits that the end of the case cuts off are not counted, which flatters
those who starve some of their waiters. A cycle lasts until the lock has been given back, too. Commands are what Redis executed for each
acquisition, those inside scripts as well; trips are how often it read from a socket for each (requests that arrive together are
one). Client CPU is user and system time of the worker processes for each acquisition. "Best peer" is the peer with the most
acquisitions per second in that case. A variant is a peer made faster at a price: "recipe, lazy" polls each 20 ms, so that who has
had the lock mostly has it again; "redislock, pipelined" sends through go-redis's AutoPipeliner, whose calls do not end with their
context while Redis hangs. Variants are shown, and are not the best peer. Every critical section is watched for a second holder:
overlaps.
`

// writeMarkdown writes everything as a document.
func (r *results) writeMarkdown(w io.Writer) error {
	var err error
	print := func(format string, args ...any) {
		if err == nil {
			_, err = fmt.Fprintf(w, format, args...)
		}
	}
	print("# Latchkey and its peers, measured\n\nWritten by `make bench`. One Redis, one machine, one run: trust the ratios.\n\n")
	for _, line := range r.Machine.lines() {
		print("- %s\n", line)
	}
	print("- options: %s\n\n%s\n## Must show\n\n", r.Options, legend)
	if err == nil {
		err = r.claimTable().markdown(w)
	}
	for _, c := range r.Cases {
		print("\n## %s\n\n", c.Scenario.title())
		if err == nil {
			err = c.table().markdown(w)
		}
		if notes := c.notes(); len(notes) > 0 {
			print("\n")
			for _, n := range notes {
				print("- %s\n", n)
			}
		}
	}
	return err
}

// writeJSON writes everything, each round too.
func (r *results) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// save writes a file, if it has a name.
func save(name string, write func(io.Writer) error) error {
	if name == "" {
		return nil
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		_ = f.Close() // the first error counts
		return err
	}
	return f.Close()
}
