package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/bench/internal/machine"
	"github.com/latchkey-go/latchkey/bench/internal/redisserver"
)

// bench is one run of the command.
type bench struct {
	options *options
	rdb     *redis.Client
	opened  int // contenders
}

// measure runs what o asks for, with a Redis of its own. It prints each case as
// soon as it is done.
func measure(ctx context.Context, o *options, stdout io.Writer) (*results, error) {
	scenarios := o.scenarios()
	if len(scenarios) == 0 && !o.doubling() {
		return nil, fmt.Errorf("no case matches %q with a contender that matches %q", o.Cases, o.Contenders)
	}
	dir, err := os.MkdirTemp("", "latchkey-ids-")
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
	b := &bench{options: o, rdb: server.Client}
	r := &results{Machine: machine.This(version, peerModules()), Options: o.String()}
	for _, line := range r.Machine.Lines() {
		if _, err := fmt.Fprintln(stdout, line); err != nil {
			return nil, err
		}
	}
	for _, s := range scenarios {
		c, err := b.measureCase(ctx, s)
		if err != nil {
			return nil, err
		}
		r.Cases = append(r.Cases, c)
		if err := c.section().Plain(stdout); err != nil {
			return nil, err
		}
	}
	if o.doubling() {
		if r.Doubling, err = b.measureDoubling(ctx); err != nil {
			return nil, err
		}
		if err := r.Doubling.section().Plain(stdout); err != nil {
			return nil, err
		}
	}
	r.Claims = r.claims()
	return r, nil
}

// measureCase runs all contenders in turn, and that as often as there are
// rounds. A round that fails is noted and left out.
func (b *bench) measureCase(ctx context.Context, s scenario) (*caseResult, error) {
	result := &caseResult{Scenario: s}
	contenders := b.options.contendersFor(s)
	for _, c := range contenders {
		result.Outcomes = append(result.Outcomes, &outcome{Contender: c.name})
	}
	for range b.options.Rounds {
		for i, c := range contenders {
			f, err := b.run(ctx, s, c)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			o := result.Outcomes[i]
			if err != nil {
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
func (b *bench) run(ctx context.Context, s scenario, c contender) (f *figures, err error) {
	b.opened++
	m, err := c.open(ctx, surroundings{scenario: s, rdb: b.rdb, name: fmt.Sprintf("ids-%d", b.opened)})
	if m.close != nil {
		defer func() { err = errors.Join(err, m.close()) }()
	}
	if err != nil {
		return nil, err
	}
	return m.time(s, b.options.timeOf(s))
}
