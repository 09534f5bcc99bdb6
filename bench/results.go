package main

import (
	"github.com/latchkey-go/latchkey/bench/internal/machine"
	"github.com/latchkey-go/latchkey/bench/internal/report"
)

// results are what a run of the command has found.
type results struct {
	Machine machine.Machine `json:"machine"`
	Options string          `json:"options"`
	Cases   []*caseResult   `json:"cases"`
	Trials  *trialResults   `json:"trials,omitempty"`
	Claims  []report.Claim  `json:"must_show"`
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
	kind      kind
}

// of returns a contender's figures in a case, nil if there are none.
func (r *results) of(scenario, contender string) *figures {
	for _, c := range r.Cases {
		if c.Scenario.Name != scenario {
			continue
		}
		for _, o := range c.Outcomes {
			if o.Contender == contender {
				return o.Median
			}
		}
	}
	return nil
}

// best returns the contender of a kind that is before all others in a case by
// less, nil if none has run.
func (r *results) best(k kind, scenario string, less func(a, b *figures) bool) *outcome {
	for _, c := range r.Cases {
		if c.Scenario.Name == scenario {
			return c.best(k, less)
		}
	}
	return nil
}

func (c *caseResult) best(k kind, less func(a, b *figures) bool) *outcome {
	var best *outcome
	for _, o := range c.Outcomes {
		if o.kind == k && o.Median != nil && o.Median.Acquired > 0 && (best == nil || less(o.Median, best.Median)) {
			best = o
		}
	}
	return best
}

func faster(a, b *figures) bool      { return a.Rate > b.Rate }
func shorterTail(a, b *figures) bool { return a.WaitP99 < b.WaitP99 }
