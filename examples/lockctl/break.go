package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/latchkey-go/latchkey/core"
)

var (
	errNobodyAsked = errors.New("not broken: there is no terminal to confirm it at; -yes breaks without asking")
	errUnconfirmed = errors.New("not broken: it was not confirmed")
)

// taken is what break did, in JSON.
type taken struct {
	Lease *core.LeaseInfo `json:"lease"`
	Now   bool            `json:"now"`
}

// breakLease shows who holds the key, asks, and breaks what it has shown. What it
// says to a person goes to the standard error, so that -json stays JSON.
func (t *tool) breakLease(ctx context.Context) error {
	if !t.yes && !t.terminal {
		return errNobodyAsked
	}
	i, err := t.locker.Inspect(ctx, t.key)
	if err != nil {
		return err
	}
	switch {
	case i.Lease == nil:
		return &core.OperatorError{Key: t.key, Err: core.ErrNotHeld}
	case i.Lease.ID == "":
		return &core.OperatorError{Key: t.key, Err: core.ErrNotLease}
	}
	if !t.json || !t.yes {
		if err := writeInspection(t.err, i); err != nil {
			return err
		}
	}
	if err := t.confirm(ctx); err != nil {
		return err
	}
	call := t.locker.Break
	if t.now {
		call = t.locker.BreakNow
	}
	// Not the key's holder by now, whoever that is: the one that was shown.
	lease, err := call(ctx, t.key, core.OnlyLease(i.Lease.ID))
	if err != nil {
		return unanswered{err}
	}
	if t.json {
		return writeJSON(t.out, taken{lease, t.now})
	}
	if t.now {
		fmt.Fprintf(t.out, "%s is taken from its holder, which may run on until it notices\n", text(t.key))
		return nil
	}
	fmt.Fprintf(t.out, "%s is broken: its holder is told to stop; free at its release, or in %s\n", text(t.key), span(lease.TTL))
	return nil
}

// confirm has a person type the key, or yes.
func (t *tool) confirm(ctx context.Context) error {
	if t.yes {
		return nil
	}
	how := "The holder is told to stop; nobody enters before it has, or before the lease expires."
	if t.now {
		how = "The next in line enters at once, beside a holder that is still running."
	}
	fmt.Fprintf(t.err, "\n%s\nType the key, or yes, to break it: ", how)
	answer := make(chan string, 1)
	go func() { // no context ends a read from a terminal; the process does
		line, _ := bufio.NewReader(t.in).ReadString('\n')
		answer <- strings.TrimRight(line, "\r\n")
	}()
	select {
	case a := <-answer:
		if a != t.key && !strings.EqualFold(strings.TrimSpace(a), "yes") {
			return errUnconfirmed
		}
		return nil
	case <-ctx.Done():
		fmt.Fprintln(t.err)
		return ctx.Err()
	}
}
