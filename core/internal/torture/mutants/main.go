// Command mutants makes mistakes in the library, one at a time, and has the
// scenarios that should notice run against each. A mutant that survives says that
// the campaign would not have found that mistake, and so does one that is killed by
// other oracles than those that it is for.
//
// The library's sources are not touched: the go command is given other texts for
// some files (go help build, -overlay), for Go and for Lua alike.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// longest is what a scenario may take to kill a mutant.
const longest = 60 * time.Second

func main() {
	root := flag.String("root", ".", "the folder of the library")
	only := flag.String("only", "", "only trials of which this expression matches the name of the mutant and, after a comma, of the scenario")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	failed, err := run(ctx, *root, *only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
	}
	if err != nil || failed > 0 {
		os.Exit(1)
	}
}

// run tells how many trials do not come out as they must.
func run(ctx context.Context, root, only string) (failed int, err error) {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return 0, err
	}
	if root, err = filepath.Abs(root); err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "latchkey-mutants-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "mutant\tscenario\tkilled after\tby")
	passed := 0
	for _, m := range mutants() {
		for _, t := range m.trials {
			name := m.name + ", " + t.scenario
			if !pattern.MatchString(name) {
				continue
			}
			fmt.Fprintln(os.Stderr, "==", name)
			v, err := m.try(ctx, t, root, dir)
			if err != nil {
				return failed, fmt.Errorf("%s: %w", name, err)
			}
			took, by := v.took.Round(100*time.Millisecond).String(), strings.Join(v.found, " ")
			if len(v.found) == 0 {
				took = "survives " + v.took.Round(time.Second).String()
			}
			if m.asExpected(t, v.found) {
				passed++
			} else {
				failed++
				by += "  FAILED: expected " + cmp.Or(t.oracles, "nothing")
			}
			fmt.Fprintln(os.Stderr, took, by)
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", m.name, t.scenario, took, by)
		}
	}
	if err := table.Flush(); err != nil {
		return failed, err
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	return failed, nil
}

// asExpected tells whether what was found is what had to be: nothing in the library
// as it is, and in a mutant something by one of the oracles that it is for.
func (m mutant) asExpected(t trial, found []string) bool {
	if len(m.edits) == 0 {
		return len(found) == 0
	}
	return slices.ContainsFunc(strings.Fields(t.oracles), func(o string) bool { return slices.Contains(found, o) })
}

// verdict is what a scenario found of a mutant.
type verdict struct {
	took  time.Duration
	found []string // the oracles that found something, each once
}

// try builds the scenario with the mutant, and runs it.
func (m mutant) try(ctx context.Context, t trial, root, dir string) (verdict, error) {
	overlay, err := m.overlay(root, dir)
	if err != nil {
		return verdict{}, err
	}
	binary := filepath.Join(dir, "scenario.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", binary, "./core/internal/torture")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return verdict{}, fmt.Errorf("it does not build: %w\n%s", err, out)
	}
	limited, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	test := exec.CommandContext(limited, binary, append([]string{"-test.run", "^" + t.scenario + "$", "-stop"}, t.flags...)...)
	test.Dir = filepath.Join(root, "core/internal/torture")
	// A scenario that is ended must not leave its processes, which hold its output.
	test.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	test.Cancel = func() error { return syscall.Kill(-test.Process.Pid, syscall.SIGKILL) }
	begun := time.Now()
	out, err := test.CombinedOutput()
	v := verdict{took: time.Since(begun)}
	if ctx.Err() != nil {
		return v, ctx.Err()
	}
	v.found, err = m.findings(out, err, limited.Err() != nil)
	return v, err
}

// findings is what a scenario that ended with an error, if any, has told. Only one
// that was ended because its time was up may have failed without a finding: that
// mutant survives. A control has to end by itself: one that hangs has found nothing
// because it has not looked.
func (m mutant) findings(out []byte, err error, ended bool) ([]string, error) {
	if err == nil {
		return nil, nil
	}
	if _, failed := errors.AsType[*exec.ExitError](err); !failed {
		return nil, err
	}
	var found []string
	for _, f := range finding.FindAllSubmatch(out, -1) {
		if oracle := string(f[1]); !slices.Contains(found, oracle) {
			found = append(found, oracle)
		}
	}
	switch {
	case len(found) > 0:
		return found, nil
	case !ended:
		return nil, fmt.Errorf("it fails without a finding:\n%s", out[:min(len(out), 4000)])
	case len(m.edits) == 0:
		return nil, fmt.Errorf("the library as it is does not come to an end within %v", longest)
	}
	return nil, nil
}

// finding is a violation that a scenario tells.
var finding = regexp.MustCompile(`VIOLATION .*?\b(O[1-7]): `)

// overlay writes the mutated files and the list of them, and returns its path.
func (m mutant) overlay(root, dir string) (string, error) {
	texts := map[string][]byte{}
	for _, e := range m.edits {
		path := filepath.Join(root, e.file)
		text, ok := texts[path]
		if !ok {
			var err error
			if text, err = os.ReadFile(path); err != nil {
				return "", err
			}
		}
		if n := bytes.Count(text, []byte(e.old)); n != 1 {
			return "", fmt.Errorf("%s has this %d times, not once: %q", e.file, n, e.old)
		}
		texts[path] = bytes.Replace(text, []byte(e.old), []byte(e.new), 1)
	}
	replace := map[string]string{}
	for path, text := range texts {
		mutated := filepath.Join(dir, strings.ReplaceAll(strings.TrimPrefix(path, root), string(filepath.Separator), "_"))
		if err := os.WriteFile(mutated, text, 0o600); err != nil {
			return "", err
		}
		replace[path] = mutated
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, list, 0o600)
}
