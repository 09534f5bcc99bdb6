// Command mutants makes mistakes in the library, one at a time, and has the
// scenario that should notice run against each. A mutant that survives says that
// the campaign would not have found that mistake.
//
// The library's sources are not touched: the go command is given other texts for
// some files (go help build, -overlay), for Go and for Lua alike.
package main

import (
	"bytes"
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
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// longest is what a scenario may take to kill a mutant.
const longest = 60 * time.Second

func main() {
	root := flag.String("root", ".", "the folder of the library")
	only := flag.String("only", "", "only mutants whose name matches this expression")
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

// run tells how many of the mutants survive, and how many controls do not.
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
		if !pattern.MatchString(m.name) {
			continue
		}
		fmt.Fprintln(os.Stderr, "==", m.name)
		v, err := m.trial(ctx, root, dir)
		if err != nil {
			return failed, fmt.Errorf("%s: %w", m.name, err)
		}
		took := "survives " + v.took.Round(time.Second).String()
		if v.killed {
			took = v.took.Round(100 * time.Millisecond).String()
		}
		if v.killed == (len(m.edits) > 0) {
			passed++
		} else {
			failed++
		}
		fmt.Fprintln(os.Stderr, took, v.by)
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", m.name, m.scenario, took, v.by)
	}
	if err := table.Flush(); err != nil {
		return failed, err
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	return failed, nil
}

// verdict is what a scenario found of a mutant.
type verdict struct {
	killed bool
	took   time.Duration
	by     string
}

// trial builds the scenario with the mutant, and runs it.
func (m mutant) trial(ctx context.Context, root, dir string) (verdict, error) {
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
	test := exec.CommandContext(limited, binary, append([]string{"-test.run", "^" + m.scenario + "$", "-stop"}, m.flags...)...)
	test.Dir = filepath.Join(root, "core/internal/torture")
	begun := time.Now()
	out, err := test.CombinedOutput()
	v := verdict{took: time.Since(begun)}
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
		return v, err
	}
	if finding := finding.FindSubmatch(out); err != nil && finding != nil {
		v.killed, v.by = true, string(finding[1])
	} else if err != nil && limited.Err() == nil {
		return v, fmt.Errorf("it fails without a finding:\n%s", out[:min(len(out), 4000)])
	}
	return v, ctx.Err()
}

// finding is the first violation that a scenario tells.
var finding = regexp.MustCompile(`VIOLATION .*\b(O[1-7]): `)

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
