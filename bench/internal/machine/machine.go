// Package machine tells where something was measured, and what it used.
package machine

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// Machine is where and with what was measured.
type Machine struct {
	CPU    string            `json:"cpu"`
	Cores  int               `json:"cores"`
	Kernel string            `json:"kernel"`
	Go     string            `json:"go"`
	Redis  string            `json:"redis"`
	Date   string            `json:"date"`
	Peers  map[string]string `json:"versions"` // by the path of their modules
}

// This is the machine that this process runs on, and the version of Redis that
// it is told. Of the modules in the program it names those of peers.
func This(redis string, peers []string) Machine {
	m := Machine{
		CPU: cpuModel(), Cores: runtime.NumCPU(), Kernel: kernel(),
		Go: runtime.Version(), Redis: redis,
		Date: time.Now().UTC().Format("2006-01-02 15:04 UTC"), Peers: make(map[string]string),
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if slices.Contains(peers, dep.Path) {
				m.Peers[dep.Path] = dep.Version
			}
		}
	}
	return m
}

// cpuModel is the processor's name where the system tells it: proc_cpuinfo(5).
func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // not there on other systems
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func kernel() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return runtime.GOOS
	}
	return runtime.GOOS + " " + strings.TrimSpace(string(release))
}

// Lines are for people.
func (m Machine) Lines() []string {
	lines := []string{
		fmt.Sprintf("%s: %s, %d cores, %s", m.Date, m.CPU, m.Cores, m.Kernel),
		fmt.Sprintf("%s, Redis %s", m.Go, m.Redis),
	}
	var versions []string
	for _, path := range slices.Sorted(maps.Keys(m.Peers)) {
		versions = append(versions, path+" "+m.Peers[path])
	}
	if len(versions) > 0 {
		lines = append(lines, strings.Join(versions, ", "))
	}
	return lines
}
