package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/latchkey-go/latchkey/examples/flashsale/internal/crowd"
)

// row is a line of the table: what it is about, and its value for one mode.
type row struct {
	name  string
	value func(result) string
}

func outcome(o crowd.Outcome) row {
	return row{o.String(), func(r result) string { return thousands(r.tally.Count[o]) }}
}

func wait(name string, q float64) row {
	return row{name, func(r result) string { return milliseconds(r.tally.Wait(q)) }}
}

// rows are the table, from top to bottom. The first six are the buyers' word,
// and add up to the crowd; the next five are the books'.
var rows = []row{
	outcome(crowd.Sold),
	outcome(crowd.SoldOut),
	outcome(crowd.Denied),
	outcome(crowd.GaveUp),
	outcome(crowd.Failed),
	outcome(crowd.NotServed),
	{},
	{"orders in the database", func(r result) string { return thousands(r.books.Orders) }},
	{"oversold", func(r result) string { return thousands(r.oversold()) }},
	{"stock wrong by", func(r result) string { return thousands(r.stockWrongBy()) }},
	{"receipts without an order", func(r result) string { return thousands(r.lostOrders()) }},
	{"repeated order IDs", func(r result) string { return thousands(r.books.RepeatedIDs) }},
	{},
	wait("wait p50", 0.50),
	wait("wait p99", 0.99),
	wait("wait max", 1),
	{"took", func(r result) string { return fmt.Sprintf("%.2f s", r.tally.Elapsed.Seconds()) }},
	{"purchases/s", purchasesPerSecond},
	{"Redis commands per purchase", commandsPerPurchase},
}

func purchasesPerSecond(r result) string {
	if r.tally.Elapsed <= 0 {
		return "-"
	}
	return thousands(int(float64(r.tally.Answered())/r.tally.Elapsed.Seconds() + 0.5))
}

func commandsPerPurchase(r result) string {
	if r.tally.Answered() == 0 || r.commands == unknown {
		return "-"
	}
	return fmt.Sprintf("%.2f", float64(r.commands)/float64(r.tally.Answered()))
}

// legend says what the table's words mean.
const legend = `sold to oversold: units and buyers; each buyer wants one unit. Wait: as the buyers
who were let in felt it, until their answer or until they gave up. Purchase: one
that was answered, with an order or with "sold out". Redis commands: all that the
server ran meanwhile, those inside scripts%s included.
`

// writeReport writes the table, one column per mode, and what is to be said
// about it.
func writeReport(w io.Writer, redis *redisServer, results []result) {
	if len(results) == 0 {
		return
	}
	first := results[0]
	fmt.Fprintf(w, "\n%s buyers for %s units, %d replicas, %s\n\n",
		thousands(first.buyers), thousands(first.units), replicas, redis.kind())
	writeTable(w, results)
	others := ""
	if redis.embedded == nil {
		others = " and other clients'"
	}
	fmt.Fprintf(w, "\n"+legend, others)
	for _, r := range results {
		writeNotes(w, r)
	}
}

func writeTable(w io.Writer, results []result) {
	lines := [][]string{{""}}
	for _, r := range results {
		lines[0] = append(lines[0], string(r.mode))
	}
	for _, row := range rows {
		line := []string{row.name}
		for _, r := range results {
			if row.value != nil {
				line = append(line, row.value(r))
			}
		}
		lines = append(lines, line)
	}
	writeColumns(w, lines)
}

// writeColumns aligns the first column to the left and the others to the right.
func writeColumns(w io.Writer, lines [][]string) {
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, line := range lines {
		var b strings.Builder
		for i, cell := range line {
			if i == 0 {
				fmt.Fprintf(&b, "%-*s", widths[0], cell)
			} else {
				fmt.Fprintf(&b, "   %*s", widths[i], cell)
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// writeNotes writes what does not fit in the table: why buyers were denied or
// failed, and what made the longest wait long.
func writeNotes(w io.Writer, r result) {
	for _, reason := range slices.Sorted(maps.Keys(r.tally.Reasons)) {
		fmt.Fprintf(w, "\n%s: denied %s with %s.\n", r.mode, thousands(r.tally.Reasons[reason]), reason)
	}
	if r.tally.FirstFailure != nil {
		fmt.Fprintf(w, "\n%s: the first failure: %v\n", r.mode, r.tally.FirstFailure)
	}
	if n := r.books.Orders - len(r.tally.Receipts); n > 0 {
		fmt.Fprintf(w, "\n%s: %s more orders than buyers who know of one; the others had given up.\n", r.mode, thousands(n))
	}
	if r.longest != "" {
		fmt.Fprintf(w, "\n%s: %s\n", r.mode, r.longest)
	}
}

// thousands writes n with commas.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
