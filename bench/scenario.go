package main

import (
	"fmt"
	"time"
)

// scenario is one case: who calls, for which keys, and how long each holder
// stays in its critical section.
type scenario struct {
	Name       string        `json:"name"`
	Processes  int           `json:"processes"`
	Goroutines int           `json:"goroutines"`     // of each process
	Hot        bool          `json:"hot"`            // all want the same keys; else each goroutine has its own
	Keys       int           `json:"keys,omitempty"` // how many, if hot; zero is one
	Section    time.Duration `json:"section_ns"`
	Cluster    bool          `json:"cluster,omitempty"` // on a Redis Cluster; else on one server
}

// keysPerCaller is how many keys a goroutine with keys of its own takes in
// turn, so that it does not only ever take the key that it has just given back.
const keysPerCaller = 4

func (s scenario) callers() int { return s.Processes * s.Goroutines }

// slots is how many keys there are.
func (s scenario) slots() int {
	if s.Hot {
		return max(1, s.Keys)
	}
	return s.callers() * keysPerCaller
}

// title is for people.
func (s scenario) title() string {
	if s.Cluster {
		s.Cluster = false
		return s.title() + fmt.Sprintf(", on a cluster of %d masters", clusterMasters)
	}
	if !s.Hot {
		return fmt.Sprintf("Distinct keys, %s, empty section", plural(s.Goroutines, "goroutine"))
	}
	section := "empty section"
	if s.Section > 0 {
		section = fmt.Sprintf("section of %v", s.Section)
	}
	return fmt.Sprintf("One hot key, %s × %s, %s", plural(s.Processes, "process"), plural(s.Goroutines, "goroutine"), section)
}

func plural(n int, of string) string {
	switch {
	case n == 1:
		return "1 " + of
	case of[len(of)-1] == 's':
		return fmt.Sprintf("%d %ses", n, of)
	default:
		return fmt.Sprintf("%d %ss", n, of)
	}
}

func distinct(goroutines int) scenario {
	return scenario{Name: fmt.Sprintf("distinct %d", goroutines), Processes: 1, Goroutines: goroutines}
}

func hot(processes, goroutines int, section time.Duration) scenario {
	return scenario{
		Name:      fmt.Sprintf("hot %d×%d %dms", processes, goroutines, section.Milliseconds()),
		Processes: processes, Goroutines: goroutines, Hot: true, Section: section,
	}
}

// haste is by what the time that the options say is divided.
func (s scenario) haste() time.Duration {
	if s.Cluster {
		return 2
	}
	return 1
}

// onCluster is the same on a cluster.
func onCluster(s scenario) scenario {
	s.Name, s.Cluster = "cluster "+s.Name, true
	return s
}

// scenarios are all cases, in the order in which they run.
func scenarios() []scenario {
	all := []scenario{distinct(1), distinct(16), distinct(64), distinct(512)}
	for _, section := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond} {
		all = append(all, hot(1, 64, section), hot(4, 16, section))
	}
	return append(all, onCluster(distinct(64)), onCluster(hot(1, 64, 0)), onCluster(hot(4, 16, 0)))
}
