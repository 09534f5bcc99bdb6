package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/core"
)

// list prints all leases.
func (t *tool) list(ctx context.Context) error {
	leases, err := t.leases(ctx)
	switch {
	case t.json:
		for _, l := range leases {
			if werr := writeJSON(t.out, l); werr != nil {
				return werr
			}
		}
	case len(leases) > 0:
		if werr := writeLeases(t.out, leases, time.Now()); werr != nil {
			return werr
		}
	case err == nil:
		fmt.Fprintf(t.out, "nobody holds a lock under the prefix %s at %v\n", text(t.prefix), t.server)
	}
	return err
}

// leases returns all leases, by key. What is returned beside an error is what was
// found before it.
func (t *tool) leases(ctx context.Context) (leases []*core.LeaseInfo, err error) {
	for l, e := range t.locker.Leases(ctx) {
		if e != nil {
			err = e // one about a single key is not the end
			continue
		}
		leases = append(leases, l)
	}
	slices.SortFunc(leases, func(a, b *core.LeaseInfo) int { return cmp.Compare(a.Key, b.Key) })
	return leases, err
}

// inspect prints who holds the key and who is in line.
func (t *tool) inspect(ctx context.Context) error {
	i, err := t.locker.Inspect(ctx, t.key)
	if err != nil {
		return err
	}
	if t.json {
		err = writeJSON(t.out, i)
	} else {
		err = writeInspection(t.out, i)
	}
	if err == nil && i.Lease == nil {
		return errFree
	}
	return err
}

// errFree is an answer, not a failure: it has been printed.
var errFree = errors.New("nobody holds the key")

// watched is one look at all leases, in JSON.
type watched struct {
	At     time.Time         `json:"at"`
	Leases []*core.LeaseInfo `json:"leases"`
}

// watch looks again and again. That Redis cannot be reached for a while is shown,
// and does not end it.
func (t *tool) watch(ctx context.Context) error {
	tick := time.NewTicker(t.interval)
	defer tick.Stop()
	for n := 1; ; n++ {
		err := t.look(ctx)
		if ctx.Err() != nil {
			return nil // Ctrl-C is its usual end
		}
		if n == t.count {
			return err
		}
		if err != nil && !errors.Is(err, errFree) {
			fmt.Fprintf(t.err, "lockctl: %s\n", t.explain(err))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (t *tool) look(ctx context.Context) error {
	if !t.json {
		fmt.Fprintf(t.out, "--- %s\n", time.Now().Format(time.TimeOnly))
	}
	switch {
	case t.key != "":
		return t.inspect(ctx)
	case !t.json:
		return t.list(ctx)
	}
	leases, err := t.leases(ctx)
	if err != nil {
		return err
	}
	return writeJSON(t.out, watched{time.Now(), append([]*core.LeaseInfo{}, leases...)})
}
