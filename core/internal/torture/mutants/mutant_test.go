package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// Whoever changes a text that a mutant changes learns it from go test, not from
// the next campaign.
func TestTheTextsThatMutantsChangeAreThere(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range mutants() {
		if seen[m.name] {
			t.Errorf("two mutants are called %q", m.name)
		}
		seen[m.name] = true
		if _, err := m.overlay("../../../..", t.TempDir()); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

// A scenario whose name no test has would find nothing, in no mutant and no control.
func TestEachMutantIsForAnOracleOfAScenario(t *testing.T) {
	files, err := filepath.Glob("../*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var sources []byte
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, text...)
	}
	oracles, control := regexp.MustCompile(`^O[1-7]( O[1-7])*$`), map[string]bool{}
	for _, m := range mutants() {
		if len(m.trials) == 0 {
			t.Errorf("%s: no scenario", m.name)
		}
		for _, in := range m.trials {
			if !bytes.Contains(sources, []byte("\nfunc "+in.scenario+"(")) {
				t.Errorf("%s: there is no %s", m.name, in.scenario)
			}
			switch {
			case len(m.edits) == 0:
				control[in.scenario] = true
			case !oracles.MatchString(in.oracles):
				t.Errorf("%s, %s: %q are no oracles", m.name, in.scenario, in.oracles)
			case !control[in.scenario]:
				t.Errorf("%s: %s has no control", m.name, in.scenario)
			}
		}
	}
}

func TestWhatIsFound(t *testing.T) {
	mistaken, asItIs := mutant{edits: []edit{{}}}, mutant{}
	failed := &exec.ExitError{}
	const told = "  VIOLATION seed 7 (it): O6: k0 O1: is\n  VIOLATION O6: k1\n  VIOLATION O2: k2\n"
	for name, row := range map[string]struct {
		mutant
		out      string
		err      error
		ended    bool
		found    []string
		errs     bool
		expected bool
	}{
		"a mutant is killed":                 {mutant: mistaken, out: told, err: failed, found: []string{"O6", "O2"}, expected: true},
		"by the wrong oracle":                {mutant: mistaken, out: "VIOLATION O6: k", err: failed, found: []string{"O6"}},
		"and hangs after that":               {mutant: mistaken, out: "VIOLATION O1: k", err: failed, ended: true, found: []string{"O1"}, expected: true},
		"a mutant survives":                  {mutant: mistaken},
		"a mutant is not killed in its time": {mutant: mistaken, err: failed, ended: true},
		"a mutant fails in another way":      {mutant: mistaken, out: "panic", err: failed, errs: true},
		"a control survives":                 {mutant: asItIs, expected: true},
		"a control is killed":                {mutant: asItIs, out: told, err: failed, found: []string{"O6", "O2"}},
		"a control hangs":                    {mutant: asItIs, err: failed, ended: true, errs: true},
		"a control cannot be run":            {mutant: asItIs, err: errors.New("no such file"), errs: true},
	} {
		found, err := row.findings([]byte(row.out), row.err, row.ended)
		if !slices.Equal(found, row.found) || (err != nil) != row.errs {
			t.Errorf("%s: %q, %v", name, found, err)
		}
		if err == nil && row.asExpected(trial{oracles: "O1 O2"}, found) != row.expected {
			t.Errorf("%s: it is expected: %v", name, !row.expected)
		}
	}
}

func TestAnEditThatIsNotThereOrTwiceFails(t *testing.T) {
	for _, old := range []string{"no such text", "local"} {
		m := mutant{edits: []edit{{scripts + "renew.lua", old, "x"}}}
		if _, err := m.overlay("../../../..", t.TempDir()); err == nil {
			t.Errorf("%q was replaced", old)
		}
	}
}
