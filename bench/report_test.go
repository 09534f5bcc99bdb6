package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/bench/internal/machine"
	"github.com/latchkey-go/latchkey/bench/internal/report"
	"github.com/latchkey-go/latchkey/bench/internal/selection"
)

// invented are results with the contenders' figures in one case.
func invented(scenario scenario, of map[string]*figures) *results {
	c := &caseResult{Scenario: scenario}
	for _, con := range contenders() {
		if f := of[con.name]; f != nil {
			c.Outcomes = append(c.Outcomes, &outcome{Contender: con.name, kind: con.kind, Median: f, Rounds: []*figures{f}})
		}
	}
	r := &results{Cases: []*caseResult{c}}
	r.Claims = r.claims()
	return r
}

// rated are figures with a rate.
func rated(rate float64) *figures {
	return &figures{Acquired: 1, Rate: rate, WaitP99: time.Millisecond, Goroutines: spread{9, 10}}
}

func TestClaims(t *testing.T) {
	for name, c := range map[string]struct {
		scenario scenario
		of       map[string]*figures
		row      string
		figure   string // the beginning of what is claimed
		want     string
	}{
		"reached": {
			hot(1, 64, 0), map[string]*figures{nameLatchkey: rated(600), nameRecipe: rated(10), nameRedsync: rated(9)},
			"hot key, 1 × 64, empty section", "acquisitions/s ≥ 60 × the best peer's (recipe)", report.Pass,
		},
		"missed by a little": {
			hot(1, 64, 0), map[string]*figures{nameLatchkey: rated(599), nameRecipe: rated(10), nameRedsync: rated(9)},
			"hot key, 1 × 64, empty section", "acquisitions/s ≥ 60 × the best peer's (recipe)", report.Fail,
		},
		"neither the mutex nor a variant is a peer": {
			hot(1, 64, 0), map[string]*figures{nameLatchkey: rated(600), nameRueidislock: rated(10), nameMutex: rated(1e6), nameLazyRecipe: rated(20)},
			"hot key, 1 × 64, empty section", "acquisitions/s ≥ 60 × the best peer's (rueidislock)", report.Pass,
		},
		"evenness": {
			hot(1, 64, 0), map[string]*figures{nameLatchkey: rated(1)},
			"hot key, 1 × 64, empty section", "least/most per goroutine", report.Pass,
		},
		"without a peer": {
			hot(1, 64, 0), map[string]*figures{nameLatchkey: rated(600)},
			"hot key, 1 × 64, empty section", "acquisitions/s", report.NotRun,
		},
		"without ours": {
			distinct(512), map[string]*figures{nameRecipe: rated(600), namePipelined: rated(700)},
			"distinct keys, 512 goroutines", "p99 wait", report.NotRun,
		},
		"two trips": {
			distinct(1), map[string]*figures{nameLatchkey: {Acquired: 1, Trips: 2.001}},
			"distinct keys, 1 goroutine", "exactly two", report.Pass,
		},
		"more than two trips": {
			distinct(1), map[string]*figures{nameLatchkey: {Acquired: 1, Trips: 2.5}},
			"distinct keys, 1 goroutine", "exactly two", report.Fail,
		},
		"the end of a fair line": {
			hot(1, 64, time.Millisecond), map[string]*figures{nameLatchkey: {Acquired: 1, WaitP99: 80 * time.Millisecond, Section: time.Millisecond}},
			"hot key, 1 × 64, 1 ms section", "p99 wait", report.Pass,
		},
		"behind the end of a fair line": {
			hot(1, 64, time.Millisecond), map[string]*figures{nameLatchkey: {Acquired: 1, WaitP99: 81 * time.Millisecond, Section: time.Millisecond}},
			"hot key, 1 × 64, 1 ms section", "p99 wait", report.Fail,
		},
		"reached on a cluster": {
			onCluster(distinct(64)), map[string]*figures{nameLatchkey: rated(13), nameRueidislock: rated(10), nameRecipe: rated(12)},
			"cluster of 3 masters, distinct keys, 64 goroutines", "acquisitions/s ≥ 1.3 × rueidislock", report.Pass,
		},
		"missed on a cluster": {
			onCluster(hot(4, 16, 0)), map[string]*figures{nameLatchkey: rated(599), nameRecipe: rated(10)},
			"cluster of 3 masters, hot key, 4 × 16, empty section", "acquisitions/s ≥ 60 × the best peer's (recipe)", report.Fail,
		},
		"what a cluster reaches is not claimed of one server": {
			onCluster(distinct(64)), map[string]*figures{nameLatchkey: rated(13), nameRueidislock: rated(10)},
			"distinct keys, 64 goroutines", "acquisitions/s ≥ 1.6", report.NotRun,
		},
	} {
		t.Run(name, func(t *testing.T) {
			claims := invented(c.scenario, c.of).Claims
			i := slices.IndexFunc(claims, func(one report.Claim) bool { return one.Row == c.row && strings.HasPrefix(one.Want, c.figure) })
			if i < 0 {
				t.Fatalf("nothing is claimed like %q: %q; claims: %+v", c.row, c.figure, claims)
			}
			if got := claims[i].Verdict; got != c.want {
				t.Errorf("%+v; want %s", claims[i], c.want)
			}
		})
	}
}

func TestAVariantThatBeatsThePeersIsTold(t *testing.T) {
	r := invented(distinct(512), map[string]*figures{nameLatchkey: rated(60), nameRueidislock: rated(20), namePipelined: rated(30)})
	for _, c := range r.Claims {
		if strings.HasPrefix(c.Want, "acquisitions/s ≥ 2 × the best") && c.Verdict != report.NotRun {
			if c.Verdict != report.Pass || c.Variant != "2 × redislock, pipelined (30)" {
				t.Errorf("claim = %+v", c)
			}
			return
		}
	}
	t.Error("nothing is claimed about the best peer")
}

func TestACaseIsShownWithRatiosToTheBestPeer(t *testing.T) {
	r := invented(hot(4, 16, time.Millisecond), map[string]*figures{nameLatchkey: rated(40), nameRecipe: rated(10), nameRedsync: rated(20)})
	r.Cases[0].Outcomes = append(r.Cases[0].Outcomes, &outcome{Contender: "broken", Failure: "no report"})
	var plain strings.Builder
	if err := r.Cases[0].section().Plain(&plain); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"One hot key, 4 processes × 16 goroutines, section of 1ms",
		"latchkey          40            2  ", "recipe            10          0.5  ", "best peer: redsync",
		"broken: a round failed: no report",
	} {
		if !strings.Contains(plain.String(), want) {
			t.Errorf("%q is not in\n%s", want, plain.String())
		}
	}
}

func TestTheDocumentNamesTheMachineAndHasEveryTable(t *testing.T) {
	r := invented(hot(1, 64, 0), map[string]*figures{nameLatchkey: rated(1234567), nameRecipe: rated(10)})
	r.Machine = machine.Machine{CPU: "A CPU", Cores: 3, Kernel: "A kernel", Go: "go0", Redis: "1.2.3", Date: "today", Peers: map[string]string{"github.com/bsm/redislock": "v4"}}
	var text strings.Builder
	if err := r.document().Markdown(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"- today: A CPU, 3 cores, A kernel\n", "Redis 1.2.3", "github.com/bsm/redislock v4",
		"| Must show | figure | measured |", "| pass |", "## One hot key, 1 process × 64 goroutines, empty section", "| latchkey | 1,234,567 | 1.23e+05 |",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
	}
}

func TestAnOverlapOrAFailureFailsTheCommand(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*outcome)
		want  int
	}{
		"a figure is missed": {func(*outcome) {}, 0},
		"an overlap":         {func(o *outcome) { o.Median.Overlaps = 1 }, 1},
		"a failed round":     {func(o *outcome) { o.Failure = "no report" }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := invented(hot(1, 64, 0), map[string]*figures{nameLatchkey: rated(1), nameRecipe: rated(10)}) // a miss
			c.spoil(r.Cases[0].Outcomes[0])
			file := filepath.Join(t.TempDir(), "results.json")
			var out, complaints strings.Builder
			if got := r.conclude(&options{Selection: selection.Selection{JSON: file}}, &out, &complaints); got != c.want || (complaints.Len() > 0) != (c.want > 0) {
				t.Errorf("exit code %d, with %q; want %d", got, complaints.String(), c.want)
			}
			text, err := os.ReadFile(file)
			if err := errors.Join(err, json.Unmarshal(text, new(results))); err != nil {
				t.Error(err)
			}
		})
	}
}
