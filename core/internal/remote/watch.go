package remote

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// stalled is when a trip without an answer is put down to its connection, if a
	// new one is answered.
	stalled = 250 * time.Millisecond
	// busyLooks is for how many looks in a row a client that is the caller's must have
	// had a connection in use.
	busyLooks = 4
	// askTimeout bounds a question over a new connection.
	askTimeout = 400 * time.Millisecond
)

// watch is the look at the trips under way that is taken now and then, while there
// are any: so that none needs a timer of its own. Guarded by lane.mu.
type watch struct {
	timer *time.Timer
	on    bool
	// A question over a new connection: whether one is under way, and when the last
	// one was begun.
	asking bool
	asked  time.Time
	// For how many looks in a row the caller's client has had a connection in use, or
	// a call that waits for one; see standby.
	busy int
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
	before := time.Now().Add(-stalled - l.room.ack.Within)
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
	client, ok := l.rdb.(known)
	if l.watch.asking || !ok || l.closed || l.retired {
		return
	}
	began := time.Now()
	l.watch.asking, l.watch.asked = true, began
	l.room.Aside(func() {
		silent := l.findSilent(began)
		ctx, cancel := context.WithTimeout(l.room.ctx, askTimeout)
		defer cancel()
		err := l.room.pingAnew(ctx, client.Options())
		answered := err == nil || refused(err)
		if answered {
			silent.end()
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.watch.asking = false
		switch {
		case answered:
			l.answered()
			l.standby.takeOver(began)
		case l.room.ctx.Err() == nil:
			failed(err)
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

// pingAnew asks over a connection of its own whether the server answers.
func (r *Room) pingAnew(ctx context.Context, theirs *redis.Options) error {
	conns := newConnections(theirs.Dialer, &r.panics)
	o := ownOptions(theirs, conns)
	o.PoolSize, o.MaxRetries, o.DisableIdentity = 1, -1, true
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = askTimeout, askTimeout, askTimeout
	c := redis.NewClient(o)
	defer func() {
		conns.stop()
		_ = c.Close()
	}()
	return c.Ping(ctx).Err()
}
