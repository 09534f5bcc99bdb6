package report

import (
	"fmt"
	"io"
	"strings"
)

// Section is a table with its title and what it has no column for.
type Section struct {
	Title string
	Name  string // what selects it, as a case; may be empty
	Table *Table
	Notes []string
}

// Plain writes the section for a terminal.
func (s Section) Plain(w io.Writer) error {
	title := s.Title
	if s.Name != "" {
		title += fmt.Sprintf(" (-case %q)", s.Name)
	}
	if _, err := fmt.Fprintf(w, "\n%s\n", title); err != nil {
		return err
	}
	if err := s.Table.Plain(w); err != nil {
		return err
	}
	for _, n := range s.Notes {
		if _, err := fmt.Fprintln(w, "  "+n); err != nil {
			return err
		}
	}
	return nil
}

// Document is everything that a run has found.
type Document struct {
	Title    string
	Origin   string   // how it was made
	Facts    []string // about the machine and the run
	Legend   string   // explains the columns
	Claims   []Claim
	Sections []Section
	Failures []string // of what has no section
}

// Markdown writes the document as Markdown.
func (d *Document) Markdown(w io.Writer) error {
	var text strings.Builder // which takes everything
	fmt.Fprintf(&text, "# %s\n\n%s\n\n", d.Title, d.Origin)
	for _, f := range d.Facts {
		fmt.Fprintf(&text, "- %s\n", f)
	}
	fmt.Fprintf(&text, "\n%s\n## Must show\n\n", d.Legend)
	_ = ClaimTable(d.Claims).Markdown(&text)
	for _, s := range d.Sections {
		fmt.Fprintf(&text, "\n## %s\n\n", s.Title)
		_ = s.Table.Markdown(&text)
		for i, n := range s.Notes {
			if i == 0 {
				text.WriteString("\n")
			}
			fmt.Fprintf(&text, "- %s\n", n)
		}
	}
	for _, f := range d.Failures {
		fmt.Fprintf(&text, "\n%s\n", f)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// Conclude writes the end of what a terminal shows, and the files that have a
// name: the document, and value, which has all the figures, as JSON.
func (d *Document) Conclude(stdout io.Writer, markdown, json string, value any) error {
	if _, err := fmt.Fprintf(stdout, "\n%s\n", d.Legend); err != nil {
		return err
	}
	if err := ClaimTable(d.Claims).Plain(stdout); err != nil {
		return err
	}
	if err := save(markdown, d.Markdown); err != nil {
		return err
	}
	return save(json, func(w io.Writer) error { return writeJSON(w, value) })
}
