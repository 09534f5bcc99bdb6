package sim

import (
	"context"
	"io"
	"reflect"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/locktest"
)

// A seed decides on what happens, nearly always to the nanosecond and to the last
// token. Two things are not the seed's: the order in which goroutines run at one
// moment, which the scheduler chooses, and the pauses of the library after errors, and
// before its polls as long as it is not subscribed, whose random part has no seed. So
// of many worlds some differ: a quarter, and a tenth if those pauses were not random.
func TestASeedMeansTheSameEachTime(t *testing.T) {
	const seeds = 40
	same := 0
	for seed := uint64(1); seed <= seeds; seed++ {
		first, second := Run(t, seed), Run(t, seed)
		if len(first.Attempts) == 0 {
			t.Errorf("seed %d: nothing happens", seed)
		}
		if reflect.DeepEqual(first.Attempts, second.Attempts) {
			same++
		}
	}
	t.Logf("%d of %d worlds are the same", same, seeds)
	if same < seeds/2 {
		t.Errorf("only %d of %d worlds are the same", same, seeds)
	}
}

// What Redis answers is known, be it an error; what was never sent is known, too.
func TestAnAnswerIsNotAmbiguous(t *testing.T) {
	m := locktest.StartMini(t)
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"none":                    {nil, false},
		"nil":                     {redis.Nil, false},
		"a script that is gone":   {m.Client(nil).EvalSha(t.Context(), "0000", nil).Err(), false},
		"refused":                 {syscall.ECONNREFUSED, false},
		"the connection's end":    {io.ErrUnexpectedEOF, true},
		"the end of the deadline": {context.DeadlineExceeded, true},
	} {
		if got := unanswered(c.err); got != c.want {
			t.Errorf("%s: %v: ambiguous is %v", name, c.err, got)
		}
	}
}

// A call may be given up by its asker, and lost after that. That is one reply which
// he never gets, and one fault.
func TestACallIsAmbiguousOnce(t *testing.T) {
	w := &world{faults: map[string]int{}}
	call := &trip{hook: &hook{world: w}}
	call.ambiguous()
	_ = call.lose(redis.NewCmd(t.Context()))
	if w.lost != 1 || len(w.faults) > 0 {
		t.Errorf("%d ambiguous replies and %v", w.lost, w.faults)
	}
}
