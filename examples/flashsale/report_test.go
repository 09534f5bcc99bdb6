package main

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/examples/flashsale/internal/crowd"
	"github.com/latchkey-go/latchkey/examples/flashsale/internal/shop"
)

// script is a door that gives its answers in turn, each after 1 ms more than
// the one before.
type script struct {
	answers []crowd.Answer
	took    time.Duration
}

func (s *script) Buy(context.Context, string, string) crowd.Answer {
	s.took += time.Millisecond
	time.Sleep(s.took)
	answer := s.answers[0]
	s.answers = s.answers[1:]
	return answer
}

func scripted(t *testing.T, buyers int, answers ...crowd.Answer) crowd.Tally {
	t.Helper()
	var tally crowd.Tally
	synctest.Test(t, func(t *testing.T) {
		last := time.Duration(len(answers)*(len(answers)+1)/2) * time.Millisecond
		c := crowd.Crowd{Buyers: buyers, InFlight: 1, Box: last - time.Microsecond, Grace: time.Second}
		tally = c.Run(t.Context(), []crowd.Door{&script{answers: answers}}, nil)
	})
	return tally
}

func TestTheReportPutsTheModesSideBySide(t *testing.T) {
	sold, soldOut := crowd.Answer{Outcome: crowd.Sold, OrderID: 1}, crowd.Answer{Outcome: crowd.SoldOut}
	results := []result{
		{
			mode: modeNone, units: 1, buyers: 4, commands: 6,
			tally: scripted(t, 4, sold, sold, sold, soldOut),
			books: shop.Books{Stock: 0, Sold: 3, Orders: 3, RepeatedIDs: 2},
		},
		{
			mode: modeLatchkey, units: 1, buyers: 1234, commands: 1000,
			tally: scripted(t, 1234, soldOut, soldOut,
				crowd.Answer{Outcome: crowd.Denied, Reason: string(core.ReasonQueueFull)},
				crowd.Answer{Outcome: crowd.GaveUp},
				crowd.Answer{Outcome: crowd.Failed, Err: errors.New("broken pipe")}),
			books:   shop.Books{Sold: 1, Orders: 1}, // of the one who gave up
			longest: "Request r waited.",
		},
	}
	var got strings.Builder
	writeReport(&got, &redisServer{addr: "127.0.0.1:6379"}, results)

	const want = `
4 buyers for 1 units, 2 replicas, Redis at 127.0.0.1:6379

                                none   latchkey
sold                               3          0
sold out                           1          2
denied                             0          1
gave up                            0          1
failed                             0          1
not served                         0      1,229

orders in the database             3          1
oversold                           2          0
stock wrong by                     2          0
receipts without an order          3          0
repeated order IDs                 2          0

wait p50                      2.0 ms     3.0 ms
wait p99                      4.0 ms     5.0 ms
wait max                      4.0 ms     5.0 ms
took                          0.01 s     0.01 s
purchases/s                      400        133
Redis commands per purchase     1.50     500.00

sold to oversold: units and buyers; each buyer wants one unit. Wait: as the buyers
who were let in felt it, until their answer or until they gave up. Purchase: one
that was answered, with an order or with "sold out". Redis commands: all that the
server ran meanwhile, those inside scripts and other clients' included.

latchkey: denied 1 with LOCK_QUEUE_FULL.

latchkey: the first failure: broken pipe

latchkey: 1 more orders than buyers who know of one; the others had given up.

latchkey: Request r waited.
`
	if got.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", got.String(), want)
	}
}

func TestASaleToNobodyHasNoRates(t *testing.T) {
	var got strings.Builder
	writeReport(&got, &redisServer{}, []result{{mode: modeNone, units: 1, buyers: 1}})
	for _, want := range []string{`\npurchases/s +-\n`, `\nRedis commands per purchase +-\n`} {
		if !regexp.MustCompile(want).MatchString(got.String()) {
			t.Errorf("%q is not in\n%s", want, got.String())
		}
	}
}

func TestThousandsHaveCommas(t *testing.T) {
	for n, want := range map[int]string{
		0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -5: "-5", -999: "-999", -1000: "-1,000", 100000: "100,000",
	} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestTheLongestWaitIsExplained(t *testing.T) {
	ann, bob := &core.Holder{Meta: core.Meta{RequestID: "ann"}}, &core.Holder{Meta: core.Meta{RequestID: "bob"}}
	for name, c := range map[string]struct {
		waits []core.Info
		want  string
	}{
		"nobody bought": {nil, ""},
		"nobody ahead": {
			[]core.Info{{Waited: 1500 * time.Microsecond}},
			"Request r0 waited longest for the lock, 1.5 ms, though nobody was ahead of it: that is a trip to Redis.",
		},
		"the longest of three": {
			[]core.Info{
				{Waited: time.Millisecond},
				{Waited: 81 * time.Millisecond, Contended: true, Position: 50, Blocker: ann, Predecessor: bob, Handoff: core.HandoffLocal},
				{Waited: 80 * time.Millisecond, Contended: true, Position: 49},
			},
			"Request r1 waited longest for the lock, 81.0 ms. It came in as number 50 in line, while request ann held the lock; request bob held it directly before (handoff: local).",
		},
		"holders unknown": {
			[]core.Info{{Waited: 2 * time.Millisecond, Contended: true, Position: 1, Blocker: &core.Holder{}, Handoff: core.HandoffRemote}},
			"Request r0 waited longest for the lock, 2.0 ms. It came in as number 1 in line (handoff: remote).",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var l longestWait
			for i, info := range c.waits {
				l.note("r"+thousands(i), info)
			}
			if got := l.explain(); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}
