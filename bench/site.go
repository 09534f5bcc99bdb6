package main

import (
	"context"
	"time"
)

// site is where a case's keys are: one server, or the nodes of a cluster.
type site []*redisServer

func (s site) addrs() []string {
	var all []string
	for _, r := range s {
		all = append(all, r.addr())
	}
	return all
}

// flush forgets what the last contender has left.
func (s site) flush(ctx context.Context) error {
	for _, r := range s {
		if err := r.rdb.FlushAll(ctx).Err(); err != nil {
			return err
		}
	}
	return nil
}

// countersAt waits until at and reads the counters of all servers, which it adds
// up.
func (s site) countersAt(ctx context.Context, at time.Time) (counters, error) {
	select {
	case <-ctx.Done():
		return counters{}, ctx.Err()
	case <-time.After(time.Until(at)):
	}
	var sum counters
	for _, r := range s {
		c, err := r.counters(ctx)
		if err != nil {
			return counters{}, err
		}
		sum = sum.and(c)
	}
	return sum, nil
}

// stop ends the processes and returns when they are gone.
func (s site) stop() {
	for _, r := range s {
		r.stop()
	}
}
