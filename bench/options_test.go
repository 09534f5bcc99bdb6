package main

import (
	"strings"
	"testing"
	"time"
)

func TestOptions(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string // in the complaint; empty: none
	}{
		"none": {args: nil},
		"all": {args: []string{"-case", "hot", "-contender", "x", "-time", "1s", "-warmup", "1ms", "-poll", "2ms", "-rounds", "3", "-md", "a", "-json", "b",
			"-leases", "1", "-hold", "1s", "-waiters", "1", "-cuts", "1s"}},
		"no such flag":         {[]string{"-nonsense"}, "nonsense"},
		"a broken expression":  {[]string{"-case", "("}, "-case"},
		"a broken contender":   {[]string{"-contender", "["}, "-contender"},
		"no rounds":            {[]string{"-rounds", "0"}, "-rounds"},
		"no time":              {[]string{"-time", "0"}, "-time"},
		"no leases":            {[]string{"-leases", "0"}, "-leases"},
		"no waiters":           {[]string{"-waiters", "0"}, "-waiters"},
		"no holding":           {[]string{"-hold", "0"}, "-hold"},
		"fewer than two cuts":  {[]string{"-cuts", "199ms"}, "-cuts"},
		"an argument too many": {[]string{"hot"}, `"hot"`},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr strings.Builder
			o, err := parseOptions(c.args, &stderr)
			if (err == nil) != (c.want == "") || (o == nil) != (err != nil) || !strings.Contains(stderr.String(), c.want) {
				t.Errorf("parseOptions = %v, %v, and says %q; want a complaint about %q", o, err, stderr.String(), c.want)
			}
		})
	}
}

func TestTheDefaultRunTakesLessThanFiveMinutes(t *testing.T) {
	o, err := parseOptions(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	// Starting and ending the processes took a quarter of a second.
	const besides = 300 * time.Millisecond
	var all time.Duration
	for _, s := range o.scenarios() {
		for range o.contendersFor(s) {
			all += o.warmupOf(s) + o.timeOf(s) + besides
		}
	}
	// Half of which is how long a master refuses commands after its start.
	const formingACluster = 4 * time.Second
	all += formingACluster
	// What else is not only a matter of waiting took half of these.
	const takingAndGivingBack, allocations, waiters = 15 * time.Second, 5 * time.Second, 5 * time.Second
	all += allocations + waiters + o.hold + takingAndGivingBack
	for _, c := range o.contendersFor(cutScenario) {
		if c.kind == ours {
			all += o.warmup + quiet + o.cutting + besides
		}
	}
	if all > 5*time.Minute {
		t.Errorf("it takes %v", all)
	}
}

func TestCasesAndContendersAreSelectedByName(t *testing.T) {
	o, err := parseOptions([]string{"-case", "^hot 1×64 [15]ms$", "-contender", "^(latchkey|mutex|redislock)$"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	some := o.scenarios()
	if len(some) != 2 || some[0].Name != "hot 1×64 1ms" || some[1].Name != "hot 1×64 5ms" {
		t.Fatalf("cases = %+v", some)
	}
	names := func(s scenario) string {
		var names []string
		for _, c := range o.contendersFor(s) {
			names = append(names, c.name)
		}
		return strings.Join(names, " ")
	}
	if got := names(some[0]); got != "latchkey redislock mutex" {
		t.Errorf("contenders = %s", got)
	}
	if trials := o.trials(); len(trials) != 0 {
		t.Errorf("%d trials; want none of another name", len(trials))
	}
	if got := names(distinct(1)); got != "latchkey redislock" {
		t.Errorf("contenders for keys of their own = %s; want no mutex", got)
	}
}
