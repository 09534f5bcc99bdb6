package backend

import (
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// downAfter is how many flights in a row must fail for Redis to count as
	// down. One may be no more than a connection that had died unnoticed.
	downAfter = 2
	// silence is how long Redis may leave everything unanswered before it
	// counts as down.
	silence = time.Second

	minProbePause = 100 * time.Millisecond
	// maxProbePause is the longest pause where a probe has a connection of its own;
	// sharedProbePause where it takes one of the caller's.
	maxProbePause    = 500 * time.Millisecond
	sharedProbePause = time.Second
	maxProbes        = 3 // under way, when they hang
)

// health follows whether Redis answers, so that in an outage nobody who needs an
// answer at once pays a timeout to learn that there is none. Guarded by batcher.mu.
//
// An error that the server itself returns is an answer. While Redis is down a
// probe asks whether it is back: over a new connection, or by an empty script call
// where the client is the caller's. So does whatever is sent on behalf of those who
// hold or wait.
type health struct {
	answered time.Time // when Redis last did
	failures int       // flights in a row
	fault    error     // of the last of them
	since    time.Time // since when it counts as down; zero if it does not
	told     bool      // that it is down
	probe    *time.Timer
	probing  int           // probes under way
	probed   time.Time     // when the last one was sent
	pause    time.Duration // before the next probe; zero if none is planned
}

// DownError says that Redis counts as down: it was not asked.
type DownError struct {
	Since time.Time
	Cause error // nil if Redis does not answer at all
}

func (e *DownError) Error() string {
	since := e.Since.Format(time.TimeOnly)
	if e.Cause == nil {
		return fmt.Sprintf("redis: no answer since %s; not asked", since)
	}
	return fmt.Sprintf("redis: down since %s, and probed at least every %v; not asked: %v", since, sharedProbePause, e.Cause)
}

func (e *DownError) Unwrap() error { return e.Cause }

// down returns a *DownError if Redis counts as down, else nil.
func (bt *batcher) down() error {
	bt.mu.Lock()
	defer bt.mu.Unlock()
	h := &bt.health
	if !h.since.IsZero() {
		return &DownError{h.since, h.fault}
	}
	for _, t := range bt.inFlight {
		if t.sent.IsZero() || h.answered.After(t.sent) || time.Since(t.sent) <= silence+bt.backend.ack.most() {
			continue
		}
		// It may be that connection alone. A probe, on another, will tell those
		// who come next.
		bt.sendProbe()
		down := &DownError{Since: t.sent}
		bt.healthChanged(down)
		return down
	}
	return nil
}

// record notes how a flight that was sent at the given time ended. The caller holds
// mu.
func (bt *batcher) record(sent time.Time, err error) {
	h := &bt.health
	if err == nil || isServerReply(err) {
		bt.recordAnswer()
		bt.took = h.answered.Sub(sent)
		switch {
		case redis.IsReadOnlyError(err):
			bt.demoted(sent)
		case err == nil:
			bt.watch.demotedPause = 0
		}
		return
	}
	if bt.backend.ctx.Err() != nil || h.answered.After(sent) || notSent(err) {
		return // not Redis's fault, or it has answered since
	}
	h.failures++
	h.fault = err
	if h.since.IsZero() && (h.failures >= downAfter || time.Since(sent) > silence+bt.backend.ack.most()) {
		h.since = time.Now()
		bt.healthChanged(&DownError{h.since, err})
	}
	if !h.since.IsZero() && h.pause == 0 {
		h.pause = minProbePause
		bt.probeLater()
	}
}

// recordAnswer notes that Redis has answered. The caller holds mu.
func (bt *batcher) recordAnswer() {
	h := &bt.health
	h.answered = time.Now()
	h.failures, h.fault, h.since, h.pause = 0, nil, time.Time{}, 0
	bt.healthChanged(nil)
}

// probeLater plans a probe after the pause. The caller holds mu.
func (bt *batcher) probeLater() {
	if bt.health.probe == nil {
		bt.health.probe = time.AfterFunc(bt.health.pause, bt.probeAgain)
		return
	}
	bt.health.probe.Reset(bt.health.pause)
}

// probeAgain asks whether Redis is back, and goes on asking until it is.
func (bt *batcher) probeAgain() {
	bt.mu.Lock()
	defer bt.mu.Unlock()
	if bt.health.pause == 0 || bt.closed || bt.retired {
		return
	}
	longest := maxProbePause
	if !bt.closes() {
		longest = sharedProbePause
	}
	bt.health.pause = min(2*bt.health.pause, longest)
	bt.probeLater()
	bt.sendProbe()
}

// sendProbe sends a probe, unless one is under way that may be answered yet. One
// that hangs, on a connection that is dead, does not keep others from being sent.
// The caller holds mu.
func (bt *batcher) sendProbe() {
	h := &bt.health
	if bt.closes() {
		bt.askAnew(func(err error) { h.fault = err })
		return
	}
	hangs := time.Since(h.probed) >= silence
	if h.probing > 0 && !hangs || h.probing == maxProbes || len(bt.inFlight) >= bt.limit {
		return
	}
	h.probing++
	h.probed = time.Now()
	t := bt.newFlight()
	bt.markSent(t)
	bt.backend.open.Add(1)
	go func() {
		defer bt.backend.finished()
		bt.exec(t)
		bt.mu.Lock()
		bt.health.probing--
		bt.mu.Unlock()
		bt.run(t)
	}()
}
