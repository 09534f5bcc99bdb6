package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mattn/go-isatty"
)

// progress shows how far a mode's crowd is: a bar that redraws itself on a
// terminal, and otherwise, in a log, a line for every quarter.
type progress struct {
	w        io.Writer
	terminal bool
	mode     mode
	total    int
	shown    int // steps of the bar, or quarters
}

const barWidth = 40

func newProgress(w io.Writer, m mode, total int) *progress {
	f, ok := w.(*os.File)
	return &progress{w: w, terminal: ok && isatty.IsTerminal(f.Fd()), mode: m, total: total, shown: -1}
}

// update shows that n buyers have left the shop. It writes only when there is
// something new to see.
func (p *progress) update(n int) {
	steps := 4
	if p.terminal {
		steps = barWidth
	}
	step := n * steps / p.total
	if step == p.shown {
		return
	}
	p.shown = step
	if p.terminal {
		bar := strings.Repeat("█", step) + strings.Repeat("░", barWidth-step)
		fmt.Fprintf(p.w, "\r%9s %s %s of %s buyers", p.mode, bar, thousands(n), thousands(p.total))
		return
	}
	if step > 0 {
		fmt.Fprintf(p.w, "%s: %s of %s buyers\n", p.mode, thousands(n), thousands(p.total))
	}
}

// done leaves the line of the bar.
func (p *progress) done() {
	if p.terminal && p.shown >= 0 {
		fmt.Fprintln(p.w)
	}
}
