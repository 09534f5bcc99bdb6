package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/latchkey-go/latchkey/core"
)

// writeJSON writes v as one line.
func writeJSON(w io.Writer, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, escapeControls(string(line))+"\n")
	return err
}

// escapeControls escapes the control characters that package json leaves as they
// are, and that a terminal may obey. Within JSON they are only in strings.
func escapeControls(line string) string {
	var b strings.Builder
	for _, r := range line {
		if r >= 0x7f && r <= 0x9f {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// table returns a writer of aligned columns with tabs between. It must be flushed.
func table(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

// text is s as it can be shown: keys and metadata are others' data, and could do
// anything to a terminal.
func text(s string) string {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return strconv.Quote(s)
	}
	return s
}

// who describes a holder in a few words.
func who(h *core.Holder) string {
	if h == nil {
		return "unknown"
	}
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, strings.TrimSpace(name+" "+text(value)))
		}
	}
	add("", h.Service)
	add("on", h.Host)
	if h.PID != 0 {
		add("pid", strconv.Itoa(h.PID))
	}
	add("request", h.RequestID)
	if len(parts) == 0 {
		return "unknown"
	}
	return strings.Join(parts, " ")
}

// span is a time for people: to the tenth of a second, never negative.
func span(d time.Duration) string { return max(0, d).Round(100 * time.Millisecond).String() }

func state(l *core.LeaseInfo) string {
	switch {
	case l.ID == "":
		return "not a lease"
	case l.Broken:
		return "broken"
	}
	return "held"
}

func expiry(l *core.LeaseInfo) string {
	switch {
	case l.TTL < 0:
		return "never"
	case l.Broken:
		return "in " + span(l.TTL)
	}
	return "in " + span(l.TTL) + ", unless renewed"
}

// writeLeases writes a table of leases.
func writeLeases(w io.Writer, leases []*core.LeaseInfo, now time.Time) error {
	t := table(w)
	fmt.Fprintln(t, "KEY\tSTATE\tHOLDER\tSINCE\tEXPIRES IN\tWAITING")
	for _, l := range leases {
		since, left := "", span(l.TTL)
		if l.Holder != nil && !l.Holder.Since.IsZero() {
			since = span(now.Sub(l.Holder.Since)) + " ago"
		}
		if l.TTL < 0 {
			left = "never"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\n", text(l.Key), state(l), who(l.Holder), since, left, l.Waiting)
	}
	return t.Flush()
}

// writeLease writes what is known of one lease.
func writeLease(w io.Writer, l *core.LeaseInfo, now time.Time) error {
	t := table(w)
	fmt.Fprintf(t, "key\t%s\n", text(l.Key))
	fmt.Fprintf(t, "state\t%s\n", state(l))
	fmt.Fprintf(t, "holder\t%s\n", who(l.Holder))
	if h := l.Holder; h != nil {
		if !h.Since.IsZero() {
			fmt.Fprintf(t, "since\t%s (%s ago)\n", h.Since.Format(time.RFC3339), span(now.Sub(h.Since)))
		}
		if h.TraceParent != "" {
			fmt.Fprintf(t, "trace\t%s\n", text(h.TraceParent))
		}
	}
	fmt.Fprintf(t, "expires\t%s\n", expiry(l))
	if l.ID != "" {
		fmt.Fprintf(t, "lease\t%s\n", text(l.ID))
	}
	return t.Flush()
}

// writeInspection writes who holds a key and who is in line for it.
func writeInspection(w io.Writer, i *core.Inspection) error {
	if i.Lease == nil {
		fmt.Fprintf(w, "nobody holds %s\n", text(i.Key))
	} else if err := writeLease(w, i.Lease, i.At); err != nil {
		return err
	}
	if i.Waiting == 0 {
		return nil
	}
	t := table(w)
	fmt.Fprintf(t, "\nLINE\tREQUEST\tWAITS FOR\tPROCESS\n")
	for n, p := range i.Queue {
		waits := ""
		if !p.Since.IsZero() {
			waits = span(i.At.Sub(p.Since))
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\n", n+1, who(p.Holder), waits, text(p.Process))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if more := i.Waiting - len(i.Queue); more > 0 {
		fmt.Fprintf(w, "and %d more\n", more)
	}
	return nil
}
