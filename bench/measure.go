package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/latchkey-go/latchkey/bench/internal/machine"
	"github.com/latchkey-go/latchkey/bench/internal/redisserver"
)

// workerTimeout bounds what a worker does besides its schedule.
const workerTimeout = settle + patience + 10*time.Second

// bench is one run of the command.
type bench struct {
	options *options
	dir     string // for files that are gone afterwards
	redis   site   // one server
}

// measure runs what o asks for on a Redis of its own. It prints each case as
// soon as it is done.
func measure(ctx context.Context, o *options, stdout, progress io.Writer) (*results, error) {
	scenarios := o.scenarios()
	if len(scenarios) == 0 && len(o.trials()) == 0 {
		return nil, fmt.Errorf("no case matches %q", o.Cases)
	}
	dir, err := os.MkdirTemp("", "latchkey-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	server, err := redisserver.Start(ctx, dir, false)
	if err != nil {
		return nil, err
	}
	defer server.Stop()
	version, err := server.Version(ctx)
	if err != nil {
		return nil, err
	}

	b := &bench{options: o, dir: dir, redis: site{server}}
	r := &results{Machine: machine.This(version, peerModules()), Options: o.String()}
	for _, line := range r.Machine.Lines() {
		if _, err := fmt.Fprintln(stdout, line); err != nil {
			return nil, err
		}
	}
	if r.Cases, err = b.measureCases(ctx, scenarios, stdout, progress); err != nil {
		return nil, err
	}
	if r.Trials, err = b.measureTrials(ctx, stdout, progress); err != nil {
		return nil, err
	}
	r.Claims = r.claims()
	return r, nil
}

// measureCases runs the cases, on the one server or on a cluster that is started
// for the first that needs it.
func (b *bench) measureCases(ctx context.Context, scenarios []scenario, stdout, progress io.Writer) ([]*caseResult, error) {
	var cluster site
	defer func() { cluster.stop() }()
	var results []*caseResult
	for _, s := range scenarios {
		at := b.redis
		if s.Cluster {
			if cluster == nil {
				var err error
				if cluster, err = startCluster(ctx, b.dir); err != nil {
					return nil, err
				}
			}
			at = cluster
		}
		c, err := b.measureCase(ctx, at, s, progress)
		if err != nil {
			return nil, err
		}
		results = append(results, c)
		if err := c.section().Plain(stdout); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// measureCase runs all contenders in turn, and that as often as there are
// rounds: what slows the machine for a while then slows all of them. A round
// that fails is noted and left out.
func (b *bench) measureCase(ctx context.Context, at site, s scenario, progress io.Writer) (*caseResult, error) {
	result := &caseResult{Scenario: s}
	contenders := b.options.contendersFor(s)
	for _, c := range contenders {
		result.Outcomes = append(result.Outcomes, &outcome{Contender: c.name, kind: c.kind})
	}
	for range b.options.Rounds {
		for i, c := range contenders {
			f, err := b.run(ctx, at, s, c)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			o := result.Outcomes[i]
			if err != nil {
				fmt.Fprintf(progress, "%s, %s: %v\n", s.Name, c.name, err)
				o.Failure = err.Error()
				continue
			}
			o.Rounds = append(o.Rounds, f)
			o.Median = medians(o.Rounds)
		}
	}
	return result, nil
}

// run is one contender in one scenario, once.
func (b *bench) run(ctx context.Context, at site, s scenario, c contender) (*figures, error) {
	ctx, cancel := context.WithTimeout(ctx, b.options.warmupOf(s)+b.options.timeOf(s)+workerTimeout)
	defer cancel()
	crew, err := b.hireFor(ctx, at, s, c, 0)
	if err != nil {
		return nil, err
	}
	defer crew.dismiss()

	from := time.Now().Add(b.options.warmupOf(s))
	when := schedule{from, from.Add(b.options.timeOf(s))}
	if err := crew.begin(when); err != nil {
		return nil, err
	}
	before, err := at.countersAt(ctx, when.From)
	if err != nil {
		return nil, err
	}
	after, err := at.countersAt(ctx, when.To)
	if err != nil {
		return nil, err
	}
	reports, err := crew.reports()
	if err != nil {
		return nil, errors.Join(err, ctx.Err())
	}
	return newFigures(reports, after.Since(before), b.options.timeOf(s)), nil
}

// hireFor hires the workers for a contender in a scenario, and empties Redis.
// With a slice that is not zero they count acquisitions in such slices.
func (b *bench) hireFor(ctx context.Context, at site, s scenario, c contender, slice time.Duration) (*workers, error) {
	if err := at.flush(ctx); err != nil {
		return nil, err
	}
	file := filepath.Join(b.dir, "witness")
	if err := newWitness(file, s.slots()); err != nil {
		return nil, err
	}
	var jobs []job
	for i := range s.Processes {
		jobs = append(jobs, job{
			Contender: c.name, Scenario: s, Process: i,
			Addrs: at.addrs(), Witness: file, Poll: b.options.poll, Slice: slice,
		})
	}
	return hire(ctx, jobs)
}
