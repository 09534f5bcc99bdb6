package redisserver

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Counters are what Redis has counted since it started.
type Counters struct {
	// Commands are all calls, those inside scripts too: INFO commandstats
	// counts both (total_commands_processed is no substitute, as it does not
	// tell INFO itself apart).
	Commands int64
	// Reads are how often Redis has read from a socket: for requests that fit
	// into one packet, a round trip each. Pipelined requests that arrive
	// together are one read, and one trip.
	Reads int64
	// CPU is what the server has used, user and system time.
	CPU time.Duration
}

func (c Counters) Since(earlier Counters) Counters {
	return Counters{Commands: c.Commands - earlier.Commands, Reads: c.Reads - earlier.Reads, CPU: c.CPU - earlier.CPU}
}

func (c Counters) And(other Counters) Counters {
	return Counters{Commands: c.Commands + other.Commands, Reads: c.Reads + other.Reads, CPU: c.CPU + other.CPU}
}

// Counters reads them. The INFO that asks is counted neither as a command nor,
// in a difference of two, as a read.
func (r *Server) Counters(ctx context.Context) (Counters, error) {
	info, err := r.Client.InfoMap(ctx, "stats", "commandstats", "cpu").Result()
	if err != nil {
		return Counters{}, err
	}
	reads, err := strconv.ParseInt(info["Stats"]["total_reads_processed"], 10, 64)
	if err != nil {
		return Counters{}, fmt.Errorf("INFO stats: %w", err)
	}
	r.infos++
	cpu, err := sumTimes(info["CPU"], "used_cpu_user", "used_cpu_sys")
	if err != nil {
		return Counters{}, err
	}
	commands, err := sumCalls(info["Commandstats"])
	return Counters{Commands: commands, Reads: reads - r.infos, CPU: cpu}, err
}

// sumTimes adds up fields of the section cpu, which are in seconds.
func sumTimes(section map[string]string, names ...string) (time.Duration, error) {
	var sum time.Duration
	for _, name := range names {
		s, err := strconv.ParseFloat(section[name], 64)
		if err != nil {
			return 0, fmt.Errorf("INFO CPU: %w", err)
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
