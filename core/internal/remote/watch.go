package remote

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// stalled is when a trip without an answer is put down to its connection, if a
	// new one is answered.
	stalled = 250 * time.Millisecond
	// askTimeout bounds a question over a new connection, and patientAskTimeout one
	// that is asked beside, because the first has had no answer in that time: to
	// connect may take several round trips to a Redis that is far away.
	askTimeout        = 400 * time.Millisecond
	patientAskTimeout = 5 * time.Second
	// busyLooks is for how many looks in a row a client that is the caller's must have
	// had a connection in use.
	busyLooks = 4

	// Between closing connections that lead to a server that is no primary any more.
	minDemotedPause = time.Second
	maxDemotedPause = 30 * time.Second
)

// watch is the look at the trips under way that is taken now and then, while there
// are any: so that none needs a timer of its own. Guarded by lane.mu.
type watch struct {
	timer *time.Timer
	on    bool
	// Questions over new connections: which are under way, and when the last one was
	// begun.
	asking, askingPatiently bool
	asked                   time.Time
	// For how many looks in a row the caller's client has had a connection in use, or
	// a call that waits for one; see standby.
	busy int
	// names are those of a key that operations have been about.
	names Names
	// Of READONLY answers: before when nothing more is done about them, and the pause.
	demoted      time.Time
	demotedPause time.Duration
}

// watchTrips has a look taken at the trips under way, soon. The caller holds mu.
func (l *lane) watchTrips() {
	w := &l.watch
	switch {
	case w.on || l.closed:
		return
	case w.timer == nil:
		w.timer = time.AfterFunc(slowTrip, l.lookAtTrips)
	default:
		w.timer.Reset(slowTrip)
	}
	w.on = true
}

// lookAtTrips starts another trip if those under way are slow and something is
// pending, and has it found out why one has no answer.
func (l *lane) lookAtTrips() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watch.on = false
	if n := len(l.under); l.pending.length > 0 && n < l.limit && n-l.slow() < l.most() {
		l.depart()
	}
	if l.standby != nil {
		l.watch.busy = l.standby.looksBusy(l.watch.busy)
	}
	before := time.Now().Add(-stalled - l.room.ack.most())
	for _, t := range l.under {
		if !t.sent.IsZero() && !t.sent.After(before) {
			l.askWhy()
			break
		}
	}
	if len(l.under) > 0 || l.pending.length > 0 {
		l.watchTrips()
	}
}

// askWhy asks over a new connection whether Redis answers, because a trip has had no
// answer for long. The caller holds mu.
func (l *lane) askWhy() {
	if time.Since(l.watch.asked) >= stalled && (l.standby == nil || l.standby.inUse() || l.watch.busy >= busyLooks) {
		l.askAnew(func(error) {})
	}
}

// askAnew asks Redis over a new connection, unless that is being done. If it is
// answered, and be it by a refusal, then Redis is well, and connections that are
// silent all the same are dead: whatever waits for them goes on over new ones. Else
// failed is called, with mu held. The caller holds mu.
func (l *lane) askAnew(failed func(error)) {
	l.askWithin(askTimeout, &l.watch.asking, func(err error) {
		failed(err)
		if errors.Is(err, context.DeadlineExceeded) {
			l.askWithin(patientAskTimeout, &l.watch.askingPatiently, failed)
		}
	})
}

func (l *lane) askWithin(d time.Duration, asking *bool, failed func(error)) {
	client, ok := l.rdb.(known)
	if *asking || !ok || l.closed || l.retired {
		return
	}
	began, names := time.Now(), l.watch.names
	*asking, l.watch.asked = true, began
	l.room.asks.Go(func() {
		err := errNotReturned
		var silent silent
		defer func() {
			answered := err == nil || refused(err)
			if answered {
				silent.end()
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			*asking = false
			switch {
			case answered:
				l.answered()
				l.standby.takeOver(began)
			case l.room.ctx.Err() == nil:
				failed(err)
			}
		}()
		defer l.room.panics.Contain("a connection of the Redis client", &err)
		silent = l.findSilent(began)
		ctx, cancel := context.WithTimeout(l.room.ctx, d)
		defer cancel()
		err = l.question(ctx, client.Options(), names, d)
		if cause := ctx.Err(); cause != nil && err != nil && !refused(err) {
			err = cause // which the client may have put in other words
		}
	})
}

// silent are the connections to a server of which nothing has been heard since.
type silent []func()

// end closes those of which nothing has been heard yet.
func (s silent) end() {
	for _, f := range s {
		f()
	}
}

func (l *lane) findSilent(began time.Time) (s silent) {
	for _, k := range []*connections{l.room.conns, l.standby.connections()} {
		if k != nil {
			round := k.search()
			s = append(s, func() { k.closeSilent(l.node, round, began) })
		}
	}
	if listener := l.room.listener.Load(); listener != nil {
		s = append(s, listener.findSilent(l.rdb))
	}
	return s
}

// demoted is called when the server has said that it is no primary any more, in
// answer to what was sent then: where its address leads to another by now, new
// connections do, too. The caller holds mu.
func (l *lane) demoted(sent time.Time) {
	w, now := &l.watch, time.Now()
	if now.Before(w.demoted) {
		return
	}
	w.demotedPause = min(max(minDemotedPause, 2*w.demotedPause), maxDemotedPause)
	w.demoted = now.Add(w.demotedPause)
	l.room.Aside(func() {
		for _, k := range []*connections{l.room.conns, l.standby.connections()} {
			if k != nil {
				k.closeOlder(l.node, sent)
			}
		}
		if listener := l.room.listener.Load(); listener != nil {
			listener.renew(l.rdb, sent)
		}
	})
}

// question asks over a connection of its own, by a script that writes as operations
// do: who answers a PING may not answer them.
func (l *lane) question(ctx context.Context, theirs *redis.Options, names Names, d time.Duration) error {
	conns := newConnections(theirs.Dialer, &l.room.panics)
	o := ownOptions(theirs, conns)
	o.PoolSize, o.MaxRetries, o.DisableIdentity = 1, -1, true
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = d, d, d
	c := redis.NewClient(o)
	hangUp := func() {
		conns.stop()
		_ = c.Close()
	}
	defer hangUp()
	defer context.AfterFunc(ctx, hangUp)() // what is being read does not heed ctx
	if names == (Names{}) {
		return c.Ping(ctx).Err()
	}
	return l.send(ctx, c, newBatch([]*task{{op: AskListening(names, "")}}))
}
