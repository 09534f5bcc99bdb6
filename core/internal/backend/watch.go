package backend

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// stalled is when a flight without an answer is put down to its connection, if a
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

// watch is the look at the flights under way that is taken now and then, while there
// are any: so that none needs a timer of its own. Guarded by batcher.mu.
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

// watchFlights has a look taken at the flights under way, soon. The caller holds mu.
func (bt *batcher) watchFlights() {
	w := &bt.watch
	switch {
	case w.on || bt.closed:
		return
	case w.timer == nil:
		w.timer = time.AfterFunc(slowFlight, bt.checkFlights)
	default:
		w.timer.Reset(slowFlight)
	}
	w.on = true
}

// checkFlights starts another flight if those under way are slow and something is
// pending, and has it found out why one has no answer.
func (bt *batcher) checkFlights() {
	bt.mu.Lock()
	defer bt.mu.Unlock()
	bt.watch.on = false
	if n := len(bt.inFlight); bt.pending.length > 0 && n < bt.limit && n-bt.slow() < bt.most() {
		bt.dispatch()
	}
	if bt.standby != nil {
		bt.watch.busy = bt.standby.looksBusy(bt.watch.busy)
	}
	before := time.Now().Add(-stalled - bt.backend.ack.most())
	for _, t := range bt.inFlight {
		if !t.sent.IsZero() && !t.sent.After(before) {
			bt.askWhy()
			break
		}
	}
	if len(bt.inFlight) > 0 || bt.pending.length > 0 {
		bt.watchFlights()
	}
}

// askWhy asks over a new connection whether Redis answers, because a flight has had no
// answer for long. The caller holds mu.
func (bt *batcher) askWhy() {
	if time.Since(bt.watch.asked) >= stalled && (bt.standby == nil || bt.standby.inUse() || bt.watch.busy >= busyLooks) {
		bt.askAnew(func(error) {})
	}
}

// askAnew asks Redis over a new connection, unless that is being done. If it is
// answered, and be it by a refusal, then Redis is well, and connections that are
// silent all the same are dead: whatever waits for them goes on over new ones. Else
// failed is called, with mu held. The caller holds mu.
func (bt *batcher) askAnew(failed func(error)) {
	bt.askWithin(askTimeout, &bt.watch.asking, func(err error) {
		failed(err)
		if errors.Is(err, context.DeadlineExceeded) {
			bt.askWithin(patientAskTimeout, &bt.watch.askingPatiently, failed)
		}
	})
}

func (bt *batcher) askWithin(d time.Duration, asking *bool, failed func(error)) {
	client, ok := bt.rdb.(known)
	if *asking || !ok || bt.closed || bt.retired {
		return
	}
	began, names := time.Now(), bt.watch.names
	*asking, bt.watch.asked = true, began
	bt.backend.questions.Go(func() {
		err := errNotReturned
		var silent silent
		defer func() {
			answered := err == nil || isServerReply(err)
			if answered {
				silent.end()
			}
			bt.mu.Lock()
			defer bt.mu.Unlock()
			*asking = false
			switch {
			case answered:
				bt.recordAnswer()
				bt.standby.takeOver(began)
			case bt.backend.ctx.Err() == nil:
				failed(err)
			}
		}()
		defer bt.backend.panics.Contain("a connection of the Redis client", &err)
		silent = bt.findSilent(began)
		ctx, cancel := context.WithTimeout(bt.backend.ctx, d)
		defer cancel()
		err = bt.question(ctx, client.Options(), names, d)
		if cause := ctx.Err(); cause != nil && err != nil && !isServerReply(err) {
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

func (bt *batcher) findSilent(began time.Time) (s silent) {
	for _, k := range []*connections{bt.backend.conns, bt.standby.connections()} {
		if k != nil {
			round := k.search()
			s = append(s, func() { k.closeSilent(bt.node, round, began) })
		}
	}
	if listener := bt.backend.listener.Load(); listener != nil {
		s = append(s, listener.findSilent(bt.rdb))
	}
	return s
}

// demoted is called when the server has said that it is no primary any more, in
// answer to what was sent then: where its address leads to another by now, new
// connections do, too. The caller holds mu.
func (bt *batcher) demoted(sent time.Time) {
	w, now := &bt.watch, time.Now()
	if now.Before(w.demoted) {
		return
	}
	w.demotedPause = min(max(minDemotedPause, 2*w.demotedPause), maxDemotedPause)
	w.demoted = now.Add(w.demotedPause)
	bt.backend.Aside(func() {
		for _, k := range []*connections{bt.backend.conns, bt.standby.connections()} {
			if k != nil {
				k.closeOlder(bt.node, sent)
			}
		}
		if listener := bt.backend.listener.Load(); listener != nil {
			listener.renew(bt.rdb, sent)
		}
	})
}

// question asks over a connection of its own, by a script that writes as operations
// do: who answers a PING may not answer them.
func (bt *batcher) question(ctx context.Context, theirs *redis.Options, names Names, d time.Duration) error {
	conns := newConnections(theirs.Dialer, &bt.backend.panics)
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
	return bt.send(ctx, c, newBatch([]*call{{op: AskListening(names, "")}}))
}
