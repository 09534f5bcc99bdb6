package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// Every scenario is a part of one step, and so of the campaign.
func TestEachScenarioIsInOneStep(t *testing.T) {
	files, err := filepath.Glob("../*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`(?m)^func (TestS\d+\w*)\(`).FindAllSubmatch(text, -1) {
			names = append(names, string(found[1]))
		}
	}
	if len(names) < 10 {
		t.Errorf("only %d scenarios are found: %v", len(names), names)
	}
	for _, name := range names {
		in := 0
		for _, s := range steps(1, 0, fullTime) {
			if len(s.leaves) == 0 {
				continue
			}
			pattern := s.command[slices.Index(s.command, "-test.run")+1]
			if regexp.MustCompile(pattern).MatchString(name) {
				in++
			}
		}
		if in != 1 {
			t.Errorf("%s is in %d steps", name, in)
		}
	}
}

func TestAStepIsAskedForByAWordOfItsName(t *testing.T) {
	for _, row := range []struct {
		only  string
		steps int
	}{
		{"S1", 1}, {"S7", 1}, {"S10", 2}, {"S10 slots that move", 1}, {"S9|S13", 2}, {"S99", 0},
	} {
		only, n := regexp.MustCompile("^(?:"+row.only+")$"), 0
		for _, s := range steps(1, 0, fullTime) {
			if s.matches(only) {
				n++
			}
		}
		if n != row.steps {
			t.Errorf("%q asks for %d steps, not %d", row.only, n, row.steps)
		}
	}
}

// The campaign as a whole skips nothing, and a share asks for no more than it does.
func TestWhatAStepHasToDoIsOfItsShare(t *testing.T) {
	for _, row := range []struct {
		share float64
		seed  uint64
		seeds int
		skips bool
	}{
		{1, 0, fullSeeds, false}, {0.5, 0, fullSeeds / 2, true}, {1, 7, 1, false},
	} {
		all := steps(row.share, row.seed, fullTime)
		skips := slices.ContainsFunc(all, func(s step) bool { return s.skips != "" })
		if all[0].name != simulated || all[0].seeds != row.seeds || skips != row.skips {
			t.Errorf("a share of %v, seed %d: %d seeds of %s, something may be skipped: %v", row.share, row.seed, all[0].seeds, all[0].name, skips)
		}
	}
}
