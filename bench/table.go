package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// table is written for a terminal and as Markdown. The first column is text,
// the others are numbers unless text is set.
type table struct {
	head []string
	rows [][]string
	text bool
}

func (t *table) right(column int) bool { return column > 0 && !t.text }

// plain writes the table in columns.
func (t *table) plain(w io.Writer) error {
	widths := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var text strings.Builder
	for _, row := range append([][]string{t.head}, t.rows...) {
		var line strings.Builder
		for i, cell := range row {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if t.right(i) {
				line.WriteString(space + cell + "  ")
			} else {
				line.WriteString(cell + space + "  ")
			}
		}
		text.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// markdown writes the table as Markdown.
func (t *table) markdown(w io.Writer) error {
	var text strings.Builder
	row := func(cells []string) { text.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	row(t.head)
	var lines []string
	for i := range t.head {
		if t.right(i) {
			lines = append(lines, "--:")
		} else {
			lines = append(lines, ":--")
		}
	}
	row(lines)
	for _, cells := range t.rows {
		row(cells)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// short is a duration with three digits.
func short(d time.Duration) string {
	switch v := float64(d); {
	case d < 0:
		return "-" + short(-d)
	case d < time.Microsecond:
		return fmt.Sprintf("%d ns", d)
	case d < time.Millisecond:
		return digits(v/1e3) + " µs"
	case d < time.Second:
		return digits(v/1e6) + " ms"
	default:
		return digits(v/1e9) + " s"
	}
}

// digits is a number from 1 on with three digits, or all before the point.
func digits(v float64) string {
	switch {
	case v < 9.995:
		return fmt.Sprintf("%.2f", v)
	case v < 99.95:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.0f", v)
	}
}

// inBytes is a size.
func inBytes(v float64) string { return count(v) + " B" }

// percent is a share with three digits.
func percent(v float64) string { return fmt.Sprintf("%.3g %%", 100*v) }

// count is a whole number with its thousands apart.
func count(v float64) string {
	text := strconv.FormatInt(int64(math.Round(v)), 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
