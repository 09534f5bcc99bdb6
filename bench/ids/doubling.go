package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/bench/internal/report"
	"github.com/latchkey-go/latchkey/idgen"
)

const (
	// doubling is the name of the case.
	doubling = "doubling"
	// calm is how many IDs are made in each tick before their number doubles:
	// 100,000 a second, for which the segments of a new Sequence are soon as large
	// as they get.
	calm = 100
	tick = time.Millisecond
	// pings are how many round trips are measured.
	pings = 200
)

// latencies are of one round: a new Sequence whose rate doubles, and the same
// loop with a generator that needs no Redis, for what the machine adds by itself.
type latencies struct {
	RoundTrip time.Duration `json:"round_trip_p50_ns"`
	Before    time.Duration `json:"longest_before_ns"`
	After     time.Duration `json:"longest_after_ns"`
	Control   time.Duration `json:"longest_uuidv7_ns"`
	// Slow are the calls that took longer than a round trip, of Calls each.
	Slow        int `json:"slow_after"`
	SlowControl int `json:"slow_uuidv7"`
	Calls       int `json:"calls"`
}

// doublingResult is all rounds.
type doublingResult struct {
	Median *latencies   `json:"median"`
	Rounds []*latencies `json:"rounds"`
}

func (b *bench) measureDoubling(ctx context.Context) (*doublingResult, error) {
	r := &doublingResult{}
	for range b.options.Rounds {
		b.opened++
		l, err := measureLatencies(ctx, b.rdb, fmt.Sprintf("ids-%d", b.opened), b.options.time)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", doubling, err)
		}
		r.Rounds = append(r.Rounds, l)
	}
	r.Median = medianLatencies(r.Rounds)
	return r, nil
}

func measureLatencies(ctx context.Context, rdb *redis.Client, name string, d time.Duration) (_ *latencies, err error) {
	g, err := idgen.NewSequence(rdb, name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	next := func() error {
		_, err := g.Next(ctx)
		return err
	}
	ping := func() error { return rdb.Incr(ctx, name+"-ping").Err() }
	uuid := new(idgen.UUIDv7)
	control := func() error {
		_, err := uuid.Next(ctx)
		return err
	}
	if err := next(); err != nil { // it waits for the first segment
		return nil, err
	}
	trips, err := timeCalls(ping, pings)
	if err != nil {
		return nil, err
	}
	before, err := pace(next, calm, d)
	if err != nil {
		return nil, err
	}
	after, err := pace(next, 2*calm, d)
	if err != nil {
		return nil, err
	}
	alone, err := pace(control, 2*calm, d)
	if err != nil {
		return nil, err
	}
	trip := report.Median(trips)
	return &latencies{
		RoundTrip: trip, Before: slices.Max(before), After: slices.Max(after), Control: slices.Max(alone),
		Slow: longer(after, trip), SlowControl: longer(alone, trip), Calls: len(after),
	}, nil
}

// longer is how many took longer than d.
func longer(took []time.Duration, d time.Duration) int {
	n := 0
	for _, t := range took {
		if t > d {
			n++
		}
	}
	return n
}

// pace makes n calls in each tick, for d, and returns how long each took.
func pace(call func() error, n int, d time.Duration) ([]time.Duration, error) {
	var all []time.Duration
	start := time.Now()
	for at := time.Duration(0); at < d; at += tick {
		time.Sleep(at - time.Since(start))
		took, err := timeCalls(call, n)
		if err != nil {
			return nil, err
		}
		all = append(all, took...)
	}
	return all, nil
}

func timeCalls(call func() error, n int) ([]time.Duration, error) {
	all := make([]time.Duration, 0, n)
	for range n {
		start := time.Now()
		if err := call(); err != nil {
			return nil, err
		}
		all = append(all, time.Since(start))
	}
	return all, nil
}

// medianLatencies are those of each figure by itself, and the sums of calls.
func medianLatencies(rounds []*latencies) *latencies {
	m := &latencies{
		RoundTrip: report.MedianOf(rounds, func(l *latencies) time.Duration { return l.RoundTrip }),
		Before:    report.MedianOf(rounds, func(l *latencies) time.Duration { return l.Before }),
		After:     report.MedianOf(rounds, func(l *latencies) time.Duration { return l.After }),
		Control:   report.MedianOf(rounds, func(l *latencies) time.Duration { return l.Control }),
	}
	for _, l := range rounds {
		m.Slow += l.Slow
		m.SlowControl += l.SlowControl
		m.Calls += l.Calls
	}
	return m
}

// table shows each round, and the medians.
func (r *doublingResult) table() *report.Table {
	t := &report.Table{Head: []string{"", "round trip p50", "longest Next before", "after", "longest UUIDv7",
		"Nexts over a round trip", "UUIDv7s", "of each"}}
	row := func(name string, l *latencies) {
		t.Rows = append(t.Rows, []string{name, report.Short(l.RoundTrip), report.Short(l.Before), report.Short(l.After), report.Short(l.Control),
			strconv.Itoa(l.Slow), strconv.Itoa(l.SlowControl), report.Count(float64(l.Calls))})
	}
	for i, l := range r.Rounds {
		row(fmt.Sprintf("round %d", i+1), l)
	}
	row("medians and sums", r.Median)
	return t
}

func (r *doublingResult) section() report.Section {
	return report.Section{Title: "A Sequence whose rate doubles", Name: doubling, Table: r.table()}
}
