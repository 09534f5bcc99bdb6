package remote

import (
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// downAfter is how many trips in a row must fail for Redis to count as
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
// answer at once pays a timeout to learn that there is none. Guarded by lane.mu.
//
// An error that the server itself returns is an answer. While Redis is down a
// probe asks whether it is back: over a new connection, or by an empty script call
// where the client is the caller's. So does whatever is sent on behalf of those who
// hold or wait.
type health struct {
	answered time.Time // when Redis last did
	failures int       // trips in a row
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
func (l *lane) down() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := &l.health
	if !h.since.IsZero() {
		return &DownError{h.since, h.fault}
	}
	for _, t := range l.under {
		if t.sent.IsZero() || h.answered.After(t.sent) || time.Since(t.sent) <= silence+l.room.ack.most() {
			continue
		}
		// It may be that connection alone. A probe, on another, will tell those
		// who come next.
		l.sendProbe()
		down := &DownError{Since: t.sent}
		l.healthChanged(down)
		return down
	}
	return nil
}

// heard notes how a trip that was sent at the given time ended. The caller holds
// mu.
func (l *lane) heard(sent time.Time, err error) {
	h := &l.health
	if err == nil || refused(err) {
		l.answered()
		l.took = h.answered.Sub(sent)
		switch {
		case redis.IsReadOnlyError(err):
			l.demoted(sent)
		case err == nil:
			l.watch.demotedPause = 0
		}
		return
	}
	if l.room.ctx.Err() != nil || h.answered.After(sent) || notSent(err) {
		return // not Redis's fault, or it has answered since
	}
	h.failures++
	h.fault = err
	if h.since.IsZero() && (h.failures >= downAfter || time.Since(sent) > silence+l.room.ack.most()) {
		h.since = time.Now()
		l.healthChanged(&DownError{h.since, err})
	}
	if !h.since.IsZero() && h.pause == 0 {
		h.pause = minProbePause
		l.probeLater()
	}
}

// answered notes that Redis has answered. The caller holds mu.
func (l *lane) answered() {
	h := &l.health
	h.answered = time.Now()
	h.failures, h.fault, h.since, h.pause = 0, nil, time.Time{}, 0
	l.healthChanged(nil)
}

// probeLater plans a probe after the pause. The caller holds mu.
func (l *lane) probeLater() {
	if l.health.probe == nil {
		l.health.probe = time.AfterFunc(l.health.pause, l.probeAgain)
		return
	}
	l.health.probe.Reset(l.health.pause)
}

// probeAgain asks whether Redis is back, and goes on asking until it is.
func (l *lane) probeAgain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.health.pause == 0 || l.closed || l.retired {
		return
	}
	longest := maxProbePause
	if !l.closes() {
		longest = sharedProbePause
	}
	l.health.pause = min(2*l.health.pause, longest)
	l.probeLater()
	l.sendProbe()
}

// sendProbe sends a probe, unless one is under way that may be answered yet. One
// that hangs, on a connection that is dead, does not keep others from being sent.
// The caller holds mu.
func (l *lane) sendProbe() {
	h := &l.health
	if l.closes() {
		l.askAnew(func(err error) { h.fault = err })
		return
	}
	hangs := time.Since(h.probed) >= silence
	if h.probing > 0 && !hangs || h.probing == maxProbes || len(l.under) >= l.limit {
		return
	}
	h.probing++
	h.probed = time.Now()
	t := l.newTrip()
	l.sends(t)
	l.room.open.Add(1)
	go func() {
		defer l.room.settled()
		l.carry(t)
		l.mu.Lock()
		l.health.probing--
		l.mu.Unlock()
		l.travel(t)
	}()
}
