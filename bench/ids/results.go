package main

import (
	"fmt"

	"github.com/latchkey-go/latchkey/bench/internal/machine"
	"github.com/latchkey-go/latchkey/bench/internal/report"
)

// results are what a run of the command has found.
type results struct {
	Machine machine.Machine `json:"machine"`
	Options string          `json:"options"`
	Cases   []*caseResult   `json:"cases"`
	// Doubling is nil if it was not asked for.
	Doubling *doublingResult `json:"doubling,omitempty"`
	Claims   []report.Claim  `json:"must_show"`
}

// caseResult is one case with all its contenders.
type caseResult struct {
	Scenario scenario   `json:"scenario"`
	Outcomes []*outcome `json:"contenders"`
}

// outcome is one contender in one case.
type outcome struct {
	Contender string     `json:"contender"`
	Median    *figures   `json:"median,omitempty"` // nil if no round succeeded
	Rounds    []*figures `json:"rounds,omitempty"`
	Failure   string     `json:"failure,omitempty"` // of a round that is missing
}

// of returns a contender's figures in a case, nil if there are none.
func (r *results) of(scenario, contender string) *figures {
	for _, c := range r.Cases {
		if c.Scenario.Name == scenario {
			return c.of(contender)
		}
	}
	return nil
}

func (c *caseResult) of(contender string) *figures {
	for _, o := range c.Outcomes {
		if o.Contender == contender {
			return o.Median
		}
	}
	return nil
}

// failures are of the rounds that are missing.
func (r *results) failures() []string {
	var all []string
	for _, c := range r.Cases {
		for _, o := range c.Outcomes {
			if o.Failure != "" {
				all = append(all, fmt.Sprintf("%s: %s: %s", c.Scenario.Name, o.Contender, o.Failure))
			}
		}
	}
	return all
}
