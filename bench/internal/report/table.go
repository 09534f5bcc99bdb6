// Package report writes what a measurement has found: as tables and numbers for
// people, and as files.
package report

import (
	"io"
	"strings"
	"unicode/utf8"
)

// Table is written for a terminal and as Markdown. The first column is text,
// the others are numbers unless Text is set.
type Table struct {
	Head []string
	Rows [][]string
	Text bool
}

func (t *Table) right(column int) bool { return column > 0 && !t.Text }

// Plain writes the table in columns.
func (t *Table) Plain(w io.Writer) error {
	widths := make([]int, len(t.Head))
	for _, row := range append([][]string{t.Head}, t.Rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var text strings.Builder
	for _, row := range append([][]string{t.Head}, t.Rows...) {
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

// Markdown writes the table as Markdown.
func (t *Table) Markdown(w io.Writer) error {
	var text strings.Builder
	row := func(cells []string) { text.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	row(t.Head)
	var lines []string
	for i := range t.Head {
		if t.right(i) {
			lines = append(lines, "--:")
		} else {
			lines = append(lines, ":--")
		}
	}
	row(lines)
	for _, cells := range t.Rows {
		row(cells)
	}
	_, err := io.WriteString(w, text.String())
	return err
}
