// Package tally has what the scenarios of a campaign came to, in numbers.
package tally

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Totals is what one scenario came to.
type Totals struct {
	Scenario string `json:"scenario"`
	// Unsafe is set if it was made with settings that are declared to allow double
	// grants.
	Unsafe     bool     `json:"unsafe,omitempty"`
	Seed       uint64   `json:"seed,omitempty"`  // of what is random in it
	Seeds      int      `json:"seeds,omitempty"` // worlds in simulated time
	Attempts   int      `json:"attempts"`
	Grants     int      `json:"grants"`
	Faults     Counts   `json:"faults,omitempty"`    // by kind
	Ambiguous  int      `json:"ambiguous,omitempty"` // replies that their askers never got
	Doubles    int      `json:"doubles"`             // grants beside another with proof
	Refused    int      `json:"stale_refused"`       // stale writes that the fenced store refused
	Accepted   int      `json:"stale_accepted"`      // and that it accepted
	Lost       int      `json:"twin_lost"`           // updates of later holders that its twin lost to stale writes
	Notes      []string `json:"notes,omitempty"`     // measured besides
	Violations []string `json:"violations,omitempty"`
	Seconds    float64  `json:"seconds"`
}

// Counts counts by kind.
type Counts map[string]int

// Add adds other to c.
func (c Counts) Add(other Counts) {
	for kind, n := range other {
		c[kind] += n
	}
}

// Sum is the number over all kinds.
func (c Counts) Sum() int {
	n := 0
	for _, of := range c {
		n += of
	}
	return n
}

func (c Counts) String() string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(c)) {
		parts = append(parts, fmt.Sprintf("%d %s", c[kind], kind))
	}
	return strings.Join(parts, ", ")
}

// Tally is the totals of a scenario that is under way. It is safe for concurrent
// use.
type Tally struct {
	mu    sync.Mutex
	begun time.Time
	Totals
}

// New begins a scenario.
func New(scenario string) *Tally {
	return &Tally{begun: time.Now(), Totals: Totals{Scenario: scenario, Faults: Counts{}}}
}

// Count changes the totals.
func (t *Tally) Count(do func(*Totals)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	do(&t.Totals)
}

// End returns the totals.
func (t *Tally) End() Totals {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Seconds = time.Since(t.begun).Seconds()
	return t.Totals
}

// Save writes the totals to a file of their own in dir.
func (t Totals) Save(dir string) error {
	text, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(File(dir, t.Scenario), append(text, '\n'), 0o666)
}

// File is where in dir the totals of a scenario are saved.
func File(dir, scenario string) string {
	return filepath.Join(dir, strings.ReplaceAll(scenario, " ", "-")+".json")
}

// Load returns all totals that were saved in dir.
func Load(dir string) ([]Totals, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var all []Totals
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		var t Totals
		if err := json.Unmarshal(text, &t); err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		all = append(all, t)
	}
	return all, nil
}
