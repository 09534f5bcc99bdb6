package main

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// step is a part of the campaign: a command that runs some of the scenarios.
type step struct {
	name    string // of its scenarios
	command []string
	// leaves is the scenarios whose totals it must leave, if they are this module's.
	leaves []string
	seeds  int // of simulated time, that it must have gone through
	// skips is the test that says itself that a share is too small for it.
	skips string
}

// simulated is the scenario in simulated time.
const simulated = "S1"

// fullTime is what the whole campaign is allowed on two cores.
const fullTime = 75 * time.Minute

// limit is what a campaign may take that is to take budget: the commands of a small
// share take their time, too.
func limit(budget time.Duration) time.Duration { return max(budget, fullTime/5) }

// steps are those of a campaign that does a share of everything. Those that need
// both cores, or measure, are alone in a step; those that mostly wait, for stopped
// processes and expiring leases, are side by side.
func steps(share float64, seed uint64, limit time.Duration) []step {
	timeout := limit / 2 // then it shows its stacks
	ours := func(name, pattern string, leaves ...string) step {
		return step{name: name, leaves: leaves, command: []string{
			"{torture}", "-test.v", "-test.timeout", timeout.String(), "-test.parallel", "20", "-test.run", "^(" + pattern + ")[A-Z]",
			"-share", strconv.FormatFloat(share, 'g', -1, 64), "-seed", strconv.FormatUint(seed, 10), "-totals", "{totals}",
		}}
	}
	worlds := ours(simulated, "TestS1", simulated)
	if seed > 0 {
		worlds.seeds = 1
		return []step{worlds}
	}
	worlds.seeds = int(share * fullSeeds)
	some := func(full int) string { return strconv.Itoa(max(1, int(math.Round(share*float64(full))))) }
	test := func(name, pattern, pkg string, args ...string) step {
		return step{name: name, command: append([]string{
			"go", "test", "-count", "1", "-v", "-timeout", timeout.String(), "-run", pattern, pkg, "-args"}, args...)}
	}
	hunt := test("S13 IDs", "", "./idgen/internal/hunt", "-each", some(5_000_000), "-faults", some(10))
	if some(10) != "10" {
		hunt.skips = "TestTheHuntFindsDuplicatesByEachFault"
	}
	return []step{
		worlds,
		ours("S2 S4 S5 S6 S7 S8 S15 S16", "TestS2|TestS[4-8]|TestS15|TestS16",
			"S2", "S4", "S5", "S6", "S7 none", "S7 everysec", "S7 power", "S7 always", "S8", "S15", "S16"),
		ours("S3", "TestS3", "S3"),
		ours("S12", "TestS12", "S12"),
		test("S9 Sentinel failovers", "^TestSentinel", "./core", "-faults", some(10)),
		test("S10 cluster failovers", "^TestCluster.*Failover", "./core", "-faults", some(30)),
		test("S10 slots that move", "^TestCluster.*Slots", "./core", "-faults", some(10)),
		test("S11 requests over HTTP", "^TestNothingIsHeld", "./httpmw", "-stress.requests", some(10_000)),
		test("S11 calls over gRPC", "^TestNothingIsHeld", "./grpcmw", "-stress.requests", some(10_000)),
		hunt,
		{name: "S14 fuzz", command: []string{
			"make", "fuzz", fmt.Sprint("FUZZTIME=", max(time.Second, time.Duration(share*float64(time.Minute))).Round(time.Second)),
		}},
	}
}

// skipped is the tests that a step has not run, though it has passed. All steps but
// the fuzz tests, none of which can be skipped as a whole, are run with -v and tell it.
func (s step) skipped(output string) error {
	var errs []error
	for _, found := range skip.FindAllStringSubmatch(output, -1) {
		if found[1] != s.skips {
			errs = append(errs, fmt.Errorf("%s was skipped", found[1]))
		}
	}
	return errors.Join(errs...)
}

var skip = regexp.MustCompile(`(?m)^\s*--- SKIP: (\S+)`)

// matches tells whether a step is one of those that are asked for, by its name or a
// word of it. If only is nil, all are.
func (s step) matches(only *regexp.Regexp) bool {
	if only == nil {
		return true
	}
	for _, word := range append(strings.Fields(s.name), s.name) {
		if only.MatchString(word) {
			return true
		}
	}
	return false
}
