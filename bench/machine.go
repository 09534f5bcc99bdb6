package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// machine is where and with what was measured.
type machine struct {
	CPU    string            `json:"cpu"`
	Cores  int               `json:"cores"`
	Kernel string            `json:"kernel"`
	Go     string            `json:"go"`
	Redis  string            `json:"redis"`
	Date   string            `json:"date"`
	Peers  map[string]string `json:"versions"`
}

// peerModules are whose versions are told.
var peerModules = []string{
	"github.com/bsm/redislock",
	"github.com/go-redsync/redsync/v4",
	"github.com/redis/rueidis",
	"github.com/redis/go-redis/v9",
}

func thisMachine(redis string) machine {
	m := machine{
		CPU: cpuModel(), Cores: runtime.NumCPU(), Kernel: kernel(),
		Go: runtime.Version(), Redis: redis,
		Date: time.Now().UTC().Format("2006-01-02 15:04 UTC"), Peers: make(map[string]string),
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			m.Peers[dep.Path] = dep.Version
		}
	}
	for path := range m.Peers {
		if !isPeer(path) {
			delete(m.Peers, path)
		}
	}
	return m
}

func isPeer(path string) bool {
	for _, p := range peerModules {
		if p == path {
			return true
		}
	}
	return false
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

// lines are for people.
func (m machine) lines() []string {
	lines := []string{
		fmt.Sprintf("%s: %s, %d cores, %s", m.Date, m.CPU, m.Cores, m.Kernel),
		fmt.Sprintf("%s, Redis %s", m.Go, m.Redis),
	}
	var versions []string
	for _, p := range peerModules {
		if v := m.Peers[p]; v != "" {
			versions = append(versions, p+" "+v)
		}
	}
	if len(versions) > 0 {
		lines = append(lines, strings.Join(versions, ", "))
	}
	return lines
}
