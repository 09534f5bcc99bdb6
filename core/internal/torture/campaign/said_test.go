package main

import (
	"slices"
	"testing"
)

func TestWhatAStepHasSaid(t *testing.T) {
	const output = `=== RUN   TestS
    s_test.go:7: 3 failovers
          grants  doubles
    plain      4        1
--- PASS: TestS (1.00s)
== FuzzA in p
fuzz: elapsed: 0s, gathering baseline coverage: 0/3 completed
fuzz: elapsed: 3s, execs: 10 (3/sec), new interesting: 0 (total: 3)
fuzz: elapsed: 6s, execs: 20 (3/sec), new interesting: 1 (total: 4)
PASS
== FuzzB in p
fuzz: elapsed: 6s, execs: 30 (3/sec), new interesting: 0 (total: 1)
ok  	p	1.0s
`
	want := []string{
		"    s_test.go:7: 3 failovers",
		"          grants  doubles",
		"    plain      4        1",
		"== FuzzA in p",
		"fuzz: elapsed: 6s, execs: 20 (3/sec), new interesting: 1 (total: 4)",
		"== FuzzB in p",
		"fuzz: elapsed: 6s, execs: 30 (3/sec), new interesting: 0 (total: 1)",
	}
	if got := said(output); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
