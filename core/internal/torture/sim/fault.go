package sim

import (
	"errors"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// What goes wrong on purpose, by its names in [Result]. What a client makes of it,
// such as a connection that is closed or a deadline that is over, is none of these.
const (
	requestDelayed  = "request delayed"
	requestLost     = "request lost"
	requestLate     = "request done when nobody asks any more"
	requestTwice    = "request done twice"
	replyLost       = "reply lost"
	replyDelayed    = "reply delayed"
	replyLostLate   = "reply lost, late"
	messageDelayed  = "message delayed"
	subscriptionCut = "subscription cut"
	processPaused   = "process paused"
	redisRestarted  = "redis restarted"
	redisEmptied    = "redis restarted, empty"
)

// Faults are all kinds of them.
func Faults() []string {
	return []string{
		requestDelayed, requestLost, requestLate, requestTwice, replyLost, replyDelayed, replyLostLate,
		messageDelayed, subscriptionCut, processPaused, redisRestarted, redisEmptied,
	}
}

// wrong counts a fault.
func (w *world) wrong(kind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults[kind]++
}

// ambiguous counts a call whose asker never gets a reply to it, for whatever reason:
// once, though its asker may have gone before it was lost.
func (t *trip) ambiguous() {
	t.unheard.Do(func() {
		t.world.mu.Lock() // not that of the hook
		defer t.world.mu.Unlock()
		t.lost++
	})
}

// unanswered tells whether an error leaves it open if the call was carried out. An
// error that Redis itself tells is an answer, and what was refused was never sent.
func unanswered(err error) bool {
	_, answer := errors.AsType[redis.Error](err)
	return err != nil && !answer && !errors.Is(err, syscall.ECONNREFUSED)
}
