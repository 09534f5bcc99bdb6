package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/bench/internal/redisserver"
)

const (
	// clusterMasters is how many nodes a cluster has, all of them masters: replicas
	// would take their part of the same machine, and no case has a master fail.
	clusterMasters = 3
	clusterSlots   = 16384
	// formTimeout bounds how long the nodes may take to know each other. A
	// master refuses commands for the two seconds after its start.
	formTimeout = 20 * time.Second
)

// startCluster starts a Redis Cluster, with its files in dir, and returns when
// it takes commands.
func startCluster(ctx context.Context, dir string) (site, error) {
	var s site
	for i := range clusterMasters {
		own := filepath.Join(dir, "node "+strconv.Itoa(i))
		err := os.MkdirAll(own, 0o700)
		var r *redisserver.Server
		if err == nil {
			r, err = redisserver.Start(ctx, own, true)
		}
		if err != nil {
			s.stop()
			return nil, err
		}
		s = append(s, r)
	}
	if err := s.form(ctx); err != nil {
		s.stop()
		return nil, fmt.Errorf("the cluster cannot be formed: %w", err)
	}
	return s, nil
}

// form shares the slots out evenly and in order, and introduces the nodes to
// each other.
func (s site) form(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, formTimeout)
	defer cancel()
	for i, r := range s {
		// Without an epoch of its own each, the nodes sort out who yields.
		if err := r.Client.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err(); err != nil {
			return err
		}
		first, next := i*clusterSlots/len(s), (i+1)*clusterSlots/len(s)
		if err := r.Client.ClusterAddSlotsRange(ctx, first, next-1).Err(); err != nil {
			return err
		}
		for _, other := range s[:i] {
			if err := r.Client.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", other.Port, other.Bus).Err(); err != nil {
				return err
			}
		}
	}
	for _, r := range s {
		if err := awaitCluster(ctx, r, len(s)); err != nil {
			return err
		}
	}
	return nil
}

// awaitCluster returns when a node knows that many, reaches all and takes
// commands.
func awaitCluster(ctx context.Context, r *redisserver.Server, nodes int) error {
	want := []string{"cluster_state:ok", "cluster_slots_ok:" + strconv.Itoa(clusterSlots), "cluster_known_nodes:" + strconv.Itoa(nodes)}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		text, err := r.Client.ClusterInfo(ctx).Result()
		if err != nil {
			return err
		}
		fields := strings.Fields(text)
		if !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(fields, w) }) {
			return nil
		}
		select {
		case <-r.Exited():
			return fmt.Errorf("node %s has exited", r.Addr())
		case <-ctx.Done():
			return fmt.Errorf("node %s: %w\n%s", r.Addr(), ctx.Err(), text)
		case <-tick.C:
		}
	}
}
