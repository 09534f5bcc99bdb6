package main

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/bench/internal/redisserver"
)

// site is where a case's keys are: one server, or the nodes of a cluster.
type site []*redisserver.Server

func (s site) addrs() []string {
	var all []string
	for _, r := range s {
		all = append(all, r.Addr())
	}
	return all
}

// flush forgets what the last contender has left.
func (s site) flush(ctx context.Context) error {
	for _, r := range s {
		if err := r.Client.FlushAll(ctx).Err(); err != nil {
			return err
		}
	}
	return nil
}

// countersAt waits until at and reads the counters of all servers, which it adds
// up.
func (s site) countersAt(ctx context.Context, at time.Time) (redisserver.Counters, error) {
	select {
	case <-ctx.Done():
		return redisserver.Counters{}, ctx.Err()
	case <-time.After(time.Until(at)):
	}
	var sum redisserver.Counters
	for _, r := range s {
		c, err := r.Counters(ctx)
		if err != nil {
			return redisserver.Counters{}, err
		}
		sum = sum.And(c)
	}
	return sum, nil
}

// stop ends the processes and returns when they are gone.
func (s site) stop() {
	for _, r := range s {
		r.Stop()
	}
}
