package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/bench/internal/machine"
	"github.com/latchkey-go/latchkey/bench/internal/report"
)

// invented are results with the contenders' figures in one case.
func invented(name string, of map[string]*figures) *results {
	i := slices.IndexFunc(scenarios(), func(s scenario) bool { return s.Name == name })
	c := &caseResult{Scenario: scenarios()[i]}
	for _, con := range contenders() {
		if f := of[con.name]; f != nil {
			c.Outcomes = append(c.Outcomes, &outcome{Contender: con.name, Median: f, Rounds: []*figures{f}})
		}
	}
	r := &results{Cases: []*caseResult{c}}
	r.Claims = r.claims()
	return r
}

func taking(each float64) *figures { return &figures{Each: each} }

func atRate(rate, cores float64) *figures { return &figures{Each: 1e9 / rate, Cores: cores} }

func TestClaims(t *testing.T) {
	for name, c := range map[string]struct {
		scenario    string
		of          map[string]*figures
		row, figure string // the beginnings of what is claimed
		want        string
	}{
		"as fast as asked":       {single, map[string]*figures{nameSeamSnowflake: taking(40), nameULID: taking(100)}, "Snowflake.Next", "time ≤ 0.4 × oklog", report.Pass},
		"slower than asked":      {single, map[string]*figures{nameSeamSnowflake: taking(41), nameULID: taking(100)}, "Snowflake.Next", "time ≤ 0.4 × oklog", report.Fail},
		"no peer":                {single, map[string]*figures{nameSeamSnowflake: taking(41)}, "Snowflake.Next", "time ≤ 0.4 × oklog", report.NotRun},
		"none of ours":           {single, map[string]*figures{nameULID: taking(100)}, "Snowflake.Next", "time ≤ 0.4 × oklog", report.NotRun},
		"allocations of others":  {single, map[string]*figures{nameSeamSnowflake: {Each: 1, Allocs: 0.001}}, "Snowflake.Next", "0 allocations", report.Pass},
		"one in a hundred calls": {single, map[string]*figures{nameSeamSnowflake: {Each: 1, Allocs: 0.01}}, "Snowflake.Next", "0 allocations", report.Fail},
		"a batch":                {batches, map[string]*figures{nameSeamSnowflake: taking(2)}, "Snowflake.NextN", "time per ID ≤ 2 ns", report.Pass},
		"a slow batch":           {batches, map[string]*figures{nameSeamSnowflake: taking(2.1)}, "Snowflake.NextN", "time per ID ≤ 2 ns", report.Fail},
		"at the limit":           {sustained1, map[string]*figures{nameDefaultSnowflake: atRate(0.981*limit, 0.2)}, "Snowflake, sustained, 1", "rate within 2 %", report.Pass},
		"below the limit":        {sustained1, map[string]*figures{nameDefaultSnowflake: atRate(0.979*limit, 0.2)}, "Snowflake, sustained, 1", "rate within 2 %", report.Fail},
		"more than there are":    {sustained4, map[string]*figures{nameDefaultSnowflake: atRate(1.021*limit, 0.2)}, "Snowflake, sustained, 4", "rate within 2 %", report.Fail},
		"a wait":                 {sustained4, map[string]*figures{nameDefaultSnowflake: atRate(limit, 0.5)}, "Snowflake, sustained, 4", "waits", report.Pass},
		"a spin":                 {sustained4, map[string]*figures{nameDefaultSnowflake: atRate(limit, 0.9)}, "Snowflake, sustained, 4", "waits", report.Fail},
		"a sequence":             {single, map[string]*figures{nameSequence: taking(60)}, "Sequence.Next with refills", "time per ID ≤ 60 ns", report.Pass},
		"a slow sequence":        {single, map[string]*figures{nameSequence: taking(61)}, "Sequence.Next with refills", "time per ID ≤ 60 ns", report.Fail},
		"no doubling":            {single, nil, "Sequence.Next when", "no stall", report.NotRun},
		"a UUID":                 {parallel, map[string]*figures{nameUUIDv7: taking(60), nameGoogleV7: taking(100)}, "UUIDv7, a goroutine", "time ≤ 0.6", report.Pass},
		"a slow UUID":            {parallel, map[string]*figures{nameUUIDv7: taking(61), nameGoogleV7: taking(100)}, "UUIDv7, a goroutine", "time ≤ 0.6", report.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			claims := invented(c.scenario, c.of).Claims
			i := slices.IndexFunc(claims, func(one report.Claim) bool {
				return strings.HasPrefix(one.Row, c.row) && strings.HasPrefix(one.Want, c.figure)
			})
			if i < 0 {
				t.Fatalf("%q, %q is not claimed", c.row, c.figure)
			}
			if claims[i].Verdict != c.want {
				t.Errorf("claim = %+v; want %s", claims[i], c.want)
			}
		})
	}
}

func TestTheSameAgainstAVariantIsTold(t *testing.T) {
	r := invented(single, map[string]*figures{
		nameUUIDv7: taking(60), nameGoogleV7: taking(120), namePooledGoogleV7: taking(80),
		nameSeamSnowflake: taking(10), nameWideSnowflake: taking(50), nameULID: taking(100),
	})
	var told []string
	for _, c := range r.Claims {
		if c.Variant != "" {
			told = append(told, c.Variant)
		}
	}
	want := []string{"0.5 × with the system's clock (50 ns)", "0.75 × google/uuid NewV7, pooled (80 ns)"}
	if !slices.Equal(told, want) {
		t.Errorf("%q, want %q", told, want)
	}
}

func TestTheDocumentHasTheMachineTheClaimsAndTheRatios(t *testing.T) {
	r := invented(single, map[string]*figures{nameUUIDv7: {Each: 60, Cores: 0.5}, nameGoogleV7: taking(120), nameULID: taking(240)})
	r.Machine = machine.Machine{CPU: "A CPU", Cores: 3, Kernel: "A kernel", Go: "go0", Redis: "1.2.3", Date: "today"}
	r.Cases[0].Outcomes = append(r.Cases[0].Outcomes, &outcome{Contender: "broken", Failure: "no IDs"})
	var text strings.Builder
	if err := r.document().Markdown(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"- today: A CPU, 3 cores, A kernel\n", "| UUIDv7, one goroutine | time ≤ 0.6 × google/uuid NewV7 | 0.5 × (60 ns to 120 ns) | pass |",
		"| idgen UUIDv7 | 60 ns | 0.25 | 0.5 | 30 ns | 16,666,667 | 0.00 | 60 to 60 ns |", "- broken: a round failed: no IDs",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
	}
	if got, want := r.failures(), []string{"single: broken: no IDs"}; !slices.Equal(got, want) {
		t.Errorf("failures %q, want %q", got, want)
	}
}
