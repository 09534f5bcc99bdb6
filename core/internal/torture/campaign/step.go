package main

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// step is a part of the campaign: a command that runs some of the scenarios.
type step struct {
	name    string // of its scenarios
	command []string
	// own is set if the scenarios are this module's, which write their totals.
	own bool
}

// fullTime is what the whole campaign is allowed on two cores.
const fullTime = 75 * time.Minute

// steps are those of a campaign that does a share of everything. Those that need
// both cores, or measure, are alone in a step; those that mostly wait, for stopped
// processes and expiring leases, are side by side.
func steps(share float64, seed uint64) []step {
	ours := func(name, pattern string) step {
		return step{name: name, own: true, command: []string{
			"{torture}", "-test.v", "-test.timeout", "0", "-test.parallel", "20", "-test.run", "^(" + pattern + ")",
			"-share", strconv.FormatFloat(share, 'g', -1, 64), "-seed", strconv.FormatUint(seed, 10), "-totals", "{totals}",
		}}
	}
	if seed > 0 {
		return []step{ours("S1", "TestS1Simulated")}
	}
	some := func(full int) string { return strconv.Itoa(max(1, int(math.Round(share*float64(full))))) }
	test := func(name, pattern, pkg string, args ...string) step {
		return step{name: name, command: append([]string{
			"go", "test", "-count", "1", "-v", "-timeout", "0", "-run", pattern, pkg, "-args"}, args...)}
	}
	return []step{
		ours("S1", "TestS1Simulated"),
		ours("S2 S4 S5 S6 S7 S8 S15 side by side", "TestS2|TestS[4-8]|TestS15"),
		ours("S3", "TestS3"),
		ours("S12", "TestS12"),
		test("S9 Sentinel failovers", "^TestSentinel", "./core", "-faults", some(10)),
		test("S10 cluster failovers", "^TestCluster.*Failover", "./core", "-faults", some(30)),
		test("S10 slots that move", "^TestCluster.*Slots", "./core", "-faults", some(10)),
		test("S11 requests over HTTP", "^TestNothingIsHeld", "./httpmw", "-stress.requests", some(10_000)),
		test("S11 calls over gRPC", "^TestNothingIsHeld", "./grpcmw", "-stress.requests", some(10_000)),
		test("S13 IDs", "", "./idgen/internal/hunt", "-each", some(5_000_000), "-faults", some(10)),
		{name: "S14 fuzz", command: []string{
			"make", "fuzz", fmt.Sprint("FUZZTIME=", max(time.Second, time.Duration(share*float64(time.Minute))).Round(time.Second)),
		}},
	}
}
