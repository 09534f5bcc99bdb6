package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// counters are what Redis has counted since it started.
type counters struct {
	// commands are all calls, those inside scripts too: INFO commandstats
	// counts both (total_commands_processed is no substitute, as it does not
	// tell INFO itself apart).
	commands int64
	// reads are how often Redis has read from a socket: for requests that fit
	// into one packet, a round trip each. Pipelined requests that arrive
	// together are one read, and one trip.
	reads int64
	// cpu is what the server has used, user and system time.
	cpu time.Duration
}

func (c counters) since(earlier counters) counters {
	return counters{commands: c.commands - earlier.commands, reads: c.reads - earlier.reads, cpu: c.cpu - earlier.cpu}
}

func (c counters) and(other counters) counters {
	return counters{commands: c.commands + other.commands, reads: c.reads + other.reads, cpu: c.cpu + other.cpu}
}

// counters reads them. The INFO that asks is counted neither as a command nor,
// in a difference of two, as a read.
func (r *redisServer) counters(ctx context.Context) (counters, error) {
	info, err := r.rdb.InfoMap(ctx, "stats", "commandstats", "cpu").Result()
	if err != nil {
		return counters{}, err
	}
	reads, err := strconv.ParseInt(info["Stats"]["total_reads_processed"], 10, 64)
	if err != nil {
		return counters{}, fmt.Errorf("INFO stats: %w", err)
	}
	r.infos++
	cpu, err := sumTimes(info["CPU"], "used_cpu_user", "used_cpu_sys")
	if err != nil {
		return counters{}, err
	}
	commands, err := sumCalls(info["Commandstats"])
	return counters{commands: commands, reads: reads - r.infos, cpu: cpu}, err
}

// sumTimes adds up fields of the section cpu, which are in seconds.
func sumTimes(section map[string]string, names ...string) (time.Duration, error) {
	var sum time.Duration
	for _, name := range names {
		s, err := strconv.ParseFloat(section[name], 64)
		if err != nil {
			return 0, fmt.Errorf("INFO cpu: %w", err)
		}
		sum += time.Duration(s * float64(time.Second))
	}
	return sum, nil
}

// sumCalls adds up the calls in a section commandstats, whose lines are like
// cmdstat_config|get:calls=1,usec=…, without those that only measuring makes.
func sumCalls(section map[string]string) (int64, error) {
	var sum int64
	for name, value := range section {
		command, _, _ := strings.Cut(strings.TrimPrefix(name, "cmdstat_"), "|")
		if command == "info" || command == "config" {
			continue
		}
		text, _, _ := strings.Cut(strings.TrimPrefix(value, "calls="), ",")
		calls, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("INFO commandstats: %s:%s: %w", name, value, err)
		}
		sum += calls
	}
	return sum, nil
}
