package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/bench/internal/redisserver"
	"github.com/latchkey-go/latchkey/bench/internal/report"
)

const (
	// cutEvery is how long a subscription lives.
	cutEvery = 100 * time.Millisecond
	// quiet is how long there are no cuts before them, to compare with, at most.
	quiet = 3 * time.Second
	// cutSlice is what throughput is counted in.
	cutSlice = 10 * time.Millisecond
	// lostWakeUp is what a waiter waits for that is not woken: it asks by itself
	// after a third of the TTL. None has so long to wait for its turn.
	lostWakeUp = ttl / 3
)

// cutScenario has every key wanted in each process.
var cutScenario = scenario{Name: "cuts", Processes: 4, Goroutines: 16, Hot: true, Keys: 4}

// cutFigures are what one Locker did while its processes' subscriptions were cut
// again and again.
type cutFigures struct {
	Contender string   `json:"contender"`
	Figures   *figures `json:"figures"` // before the cuts and during them
	recovery
	Killed int64 `json:"connections_killed"`
	// Longest is the longest wait; one that the end cut off counts, too.
	Longest time.Duration `json:"longest_wait_ns"`
}

func runCuts(ctx context.Context, b *bench, r *trialResults) error {
	for _, c := range b.options.contendersFor(cutScenario) {
		if c.kind != ours {
			continue
		}
		f, err := b.cut(ctx, c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		r.Cuts = append(r.Cuts, f)
	}
	return nil
}

func cutTable(r *trialResults) *report.Table {
	t := &report.Table{Head: []string{"", "acquired/s uncut", "between cuts: median", "worst", "(uncut: worst)", "cuts", "recovered from", "slowest", "killed",
		"wait p99", "longest", "overlaps", "errors"}}
	for _, f := range r.Cuts {
		t.Rows = append(t.Rows, []string{
			f.Contender, report.Count(f.Quiet), report.Percent(f.Median), report.Percent(f.Worst), report.Percent(f.QuietWorst), fmt.Sprint(f.Cuts), fmt.Sprint(f.Recovered),
			report.Short(f.Slowest), fmt.Sprint(f.Killed), report.Short(f.Figures.WaitP99), report.Short(f.Longest), fmt.Sprint(f.Figures.Overlaps), fmt.Sprint(f.Figures.Errors),
		})
	}
	return t
}

// cut runs one Locker.
func (b *bench) cut(ctx context.Context, c contender) (*cutFigures, error) {
	before := min(quiet, b.options.cutting)
	measured := before + b.options.cutting
	ctx, cancel := context.WithTimeout(ctx, b.options.warmup+measured+workerTimeout)
	defer cancel()
	crew, err := b.hireFor(ctx, b.redis, cutScenario, c, cutSlice)
	if err != nil {
		return nil, err
	}
	defer crew.dismiss()
	from := time.Now().Add(b.options.warmup)
	if err := crew.begin(schedule{from, from.Add(measured)}); err != nil {
		return nil, err
	}
	f := &cutFigures{Contender: c.name}
	cuts, err := b.cutSubscriptions(ctx, from, before, measured, &f.Killed)
	if err != nil {
		return nil, err
	}
	reports, err := crew.reports()
	if err != nil {
		return nil, errors.Join(err, ctx.Err())
	}
	all := timeline{cutSlice, make([]int, measured/cutSlice+1)}
	for _, r := range reports {
		f.Longest = max(f.Longest, r.Wait.max, r.CutOff)
		for i, n := range r.Timeline {
			all.counts[i] += n
		}
	}
	f.Figures = newFigures(reports, redisserver.Counters{}, measured)
	f.recovery = recoveryOf(all, cuts, cutEvery)
	return f, nil
}

// cutSubscriptions cuts them between two times, and returns when that was. All
// times are since from.
func (b *bench) cutSubscriptions(ctx context.Context, from time.Time, first, end time.Duration, killed *int64) ([]time.Duration, error) {
	var cuts []time.Duration
	for at := first; at < end; at += cutEvery {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Until(from.Add(at))):
		}
		n, err := b.redis[0].Client.ClientKillByFilter(ctx, "TYPE", "pubsub").Result()
		if err != nil {
			return nil, err
		}
		*killed += n
		cuts = append(cuts, time.Since(from))
	}
	return cuts, nil
}
