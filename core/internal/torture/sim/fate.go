package sim

import (
	"math/rand/v2"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/torture/history"
)

// until sleeps for up to most, and tells whether things may go wrong still.
func (w *world) until(r *rand.Rand, most time.Duration) bool {
	select {
	case <-time.After(time.Duration(r.Int64N(int64(most) + 1))):
		return true
	case <-w.over:
		return false
	}
}

// pause stops a process now and then, for less or for more than its leases last:
// nothing goes in or out, and its callers do nothing. (Its timers still run. That
// they do not, either, takes a real process.)
func (w *world) pause(process int) {
	r := w.random("pause", uint64(process))
	for range w.plan.pauses {
		if !w.until(r, 4*w.plan.ttl) {
			return
		}
		w.wrong(processPaused)
		w.ways[process].pauseProcess()
		w.until(r, 5*w.plan.ttl/2)
		w.ways[process].resumeProcess()
	}
}

// restart has Redis go away and come back, without its scripts, and where the
// plan says so without its data. It takes 10 ms at least: tokens that are ahead
// of the clock by a block must not be what a new counter begins with.
func (w *world) restart() {
	r := w.random("restart", 0)
	for range w.plan.restarts {
		if !w.until(r, 6*w.plan.ttl) {
			return
		}
		kind, loss := redisRestarted, history.Loss{From: w.now()}
		if w.plan.forgets {
			kind = redisEmptied
			w.redis.FlushAll()
			w.forgot.Store(int64(loss.From))
		}
		w.wrong(kind)
		for _, y := range w.ways {
			y.cut(true)
		}
		_ = w.again.ScriptFlush(w.t.Context()).Err()
		time.Sleep(10 * time.Millisecond)
		w.until(r, w.plan.restart)
		if w.plan.forgets {
			w.redis.FlushAll() // with what came by other ways meanwhile
			loss.To = w.now()
			w.losses = append(w.losses, loss)
		}
		for _, y := range w.ways {
			y.cut(false)
		}
	}
}
