package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/bench/internal/redisserver"
	"github.com/latchkey-go/latchkey/bench/internal/report"
)

func TestTheCommandMeasuresEveryContender(t *testing.T) {
	redisserver.Need(t)
	dir := t.TempDir()
	jsonFile, document := filepath.Join(dir, "ids.json"), filepath.Join(dir, "IDS.md")
	var stdout, stderr strings.Builder
	args := []string{"-time", "2ms", "-sustain", "20ms", "-rounds", "1", "-json", jsonFile, "-md", document}
	if code := run(t.Context(), args, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, stdout.String(), stderr.String())
	}
	text, err := os.ReadFile(jsonFile)
	if err != nil {
		t.Fatal(err)
	}
	var r results
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	for _, s := range scenarios() {
		for _, c := range contenders() {
			f := r.of(s.Name, c.name)
			switch {
			case !c.fits(s):
				if f != nil {
					t.Errorf("%s, %s: measured, though it does not fit", s.Name, c.name)
				}
			case f == nil:
				t.Errorf("%s, %s: not measured", s.Name, c.name)
			case f.Each <= 0 || f.Cores <= 0:
				t.Errorf("%s, %s: %+v", s.Name, c.name, *f)
			}
		}
	}
	if l := r.Doubling.Median; l.RoundTrip == 0 || l.After == 0 || l.Control == 0 || l.Calls != 2*2*calm {
		t.Errorf("%s: %+v", doubling, *l)
	}
	for _, c := range r.Claims {
		if c.Verdict == report.NotRun {
			t.Errorf("not run: %+v", c)
		}
	}
	if text, err := os.ReadFile(document); err != nil || !strings.Contains(string(text), "## One goroutine, one ID a call") {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestWhatCannotBeMeasuredIsAnError(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-case", "nothing"}, 1, "nothing"},
		{[]string{"-case", "batch", "-contender", "ulid"}, 1, "ulid"},
		{[]string{"-rounds", "0"}, 2, "-rounds 0"},
		{[]string{"-time", "0"}, 2, "-time"},
		{[]string{"-case", "("}, 2, "-case"},
		{[]string{"more"}, 2, "more"},
		{[]string{"-h"}, 0, "-rounds"},
	} {
		var out, complaints strings.Builder
		if code := run(t.Context(), c.args, &out, &complaints); code != c.code || !strings.Contains(complaints.String(), c.want) {
			t.Errorf("%q: exit code %d with %q; want %d with %q", c.args, code, complaints.String(), c.code, c.want)
		}
	}
}
