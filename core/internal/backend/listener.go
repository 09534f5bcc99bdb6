package backend

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	minReconnect = 20 * time.Millisecond
	maxReconnect = time.Second

	// closeGrace is how long Close waits for a session that is stuck in the
	// client. Others end at once.
	closeGrace = 100 * time.Millisecond
)

// Handler hears what comes to a process's channels, one call at a time. It must
// not block: behind it the messages wait.
type Handler struct {
	Granted   func(Grant)
	Contended func(Note)
	Broken    func(Note)
	// Up is called each time the subscription of a subscription is confirmed: whatever
	// was published before may have been missed.
	Up func(SubscriptionID)
	// Down is called when it is lost or could not be made.
	Down func(SubscriptionID, error)
}

// Listener keeps one process's subscriptions: one for each subscription that is open. On
// a cluster those of one node share a connection, and follow their buckets when
// these move. Messages may be lost whenever a connection is: nothing may depend
// on one.
type Listener struct {
	be      *Backend
	process Process
	handler Handler
	ctx     context.Context
	cancel  context.CancelFunc
	done    chan struct{}
	wake    chan struct{} // capacity 1: subscriptions are to be looked after
	calling sync.Mutex    // the handler

	mu       sync.Mutex
	ears     map[SubscriptionID]*subscription
	sessions map[*session]bool
}

// subscription is a subscription that is open.
type subscription struct {
	session *session // that has it, or is to; nil if it has none
	// After a failure: when it is tried again, and after what pause that is.
	again time.Time
	pause time.Duration
	// unheard is when the server has said last that nobody listens; zero if that is
	// looked after.
	unheard time.Time
}

// Listen returns a listener on behalf of process p, with no subscription open.
func (be *Backend) Listen(p Process, h Handler) *Listener {
	ctx, cancel := context.WithCancel(context.Background())
	l := &Listener{
		be: be, process: p, handler: h, ctx: ctx, cancel: cancel,
		done: make(chan struct{}), wake: make(chan struct{}, 1),
		ears: make(map[SubscriptionID]*subscription), sessions: make(map[*session]bool),
	}
	if be.slotMap != nil {
		be.slotMap.notify(l)
	}
	be.listener.Store(l)
	go l.run()
	return l
}

// SubscriptionOf returns the one that hears about the key of n.
func (be *Backend) SubscriptionOf(n Names) SubscriptionID { return be.names.subscription(n) }

// Subscriptions is how many there are.
func (be *Backend) Subscriptions() int {
	if be.names.cluster {
		return buckets
	}
	return 1
}

// Open has a subscription listen, from when Up is called for it, until it is shut.
func (l *Listener) Open(e SubscriptionID) {
	l.mu.Lock()
	if l.ears[e] == nil {
		l.ears[e] = &subscription{}
	}
	l.mu.Unlock()
	l.wakeUp()
}

// Shut ends a subscription's subscription. A call of the handler for it may still be
// under way.
func (l *Listener) Shut(e SubscriptionID) {
	l.mu.Lock()
	if sub := l.ears[e]; sub != nil {
		delete(l.ears, e)
		if sub.session != nil {
			sub.session.drop(e)
		}
	}
	l.mu.Unlock()
}

// Renew has a subscription's subscription made anew, if it was made before t: the server
// that operations go to says that nobody listens there.
func (l *Listener) Renew(e SubscriptionID, t time.Time) {
	l.mu.Lock()
	if sub := l.ears[e]; sub != nil {
		sub.unheard = t
	}
	l.mu.Unlock()
	l.wakeUp()
}

// renewUnheard ends the connection of a subscription's subscription if the server has said that
// nobody listens, to a question that was asked since it was made. Those of other buckets
// of a cluster on the same connection lead to the wrong server, too.
func (l *Listener) renewUnheard(e SubscriptionID) {
	l.mu.Lock()
	sub := l.ears[e]
	if sub == nil || sub.unheard.IsZero() {
		l.mu.Unlock()
		return
	}
	s, asked := sub.session, sub.unheard
	sub.unheard = time.Time{}
	if s == nil || !s.begun.Before(asked) {
		l.mu.Unlock()
		return
	}
	s.fail(errUnheard)
	l.mu.Unlock()
}

// renew has all subscriptions with a server made anew that were made before t.
func (l *Listener) renew(at redis.UniversalClient, t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range l.sessions {
		if s.at == at && s.begun.Before(t) {
			s.fail(errDemoted)
		}
	}
}

// findSilent asks for a sign of life over the connections to a server, and returns
// what ends those from which none has come since.
func (l *Listener) findSilent(at redis.UniversalClient) (end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := make(map[*session]int)
	for s := range l.sessions {
		if s.at == at && !s.ending {
			before[s] = s.heard
			s.probe = true
			s.wakeUp()
		}
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for s, heard := range before {
			if s.heard == heard {
				s.fail(errDead)
			}
		}
	}
}

// Close ends all subscriptions. When it returns, the handler is not and will not
// be called, and no goroutine is left, except for those that are stuck in the
// client, connecting to a server that does not answer: they end with the client's
// own timeouts, or when the client is closed. The handler must not call Close.
func (l *Listener) Close() {
	l.cancel()
	select {
	case <-l.done:
	case <-time.After(2 * closeGrace): // asking a cluster for its nodes
	}
	l.calling.Lock() // a call may still be under way, and is the last
	defer l.calling.Unlock()
}

// wakeUp has the subscriptions looked after.
func (l *Listener) wakeUp() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// call calls f, which is of the handler, unless the listener has been closed.
func (l *Listener) call(f func()) {
	l.calling.Lock()
	defer l.calling.Unlock()
	if l.ctx.Err() == nil {
		f()
	}
}

// change has f change what is known of a subscription, with mu held, and then calls what
// f returns, of the handler, if anything. In one: the handler would else be told
// that a subscription is up at its new place before it is told that it was down, and
// would take it for down ever after.
func (l *Listener) change(f func() (tell func())) {
	l.calling.Lock()
	defer l.calling.Unlock()
	l.mu.Lock()
	tell := f()
	l.mu.Unlock()
	if tell != nil && l.ctx.Err() == nil {
		tell()
	}
}

// run sees to it that each open subscription has a session with the server of its keys.
func (l *Listener) run() {
	defer close(l.done)
	var sessions sync.WaitGroup
	defer l.leave(&sessions)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-l.wake:
		case <-timer.C:
		case <-l.ctx.Done():
			return
		}
		next := l.attend(&sessions)
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// leave waits for the sessions' end, but not long for one that is stuck.
func (l *Listener) leave(sessions *sync.WaitGroup) {
	if l.be.slotMap != nil {
		l.be.slotMap.ignore(l)
	}
	gone := make(chan struct{})
	go func() {
		sessions.Wait()
		close(gone)
	}()
	select {
	case <-gone:
	case <-time.After(closeGrace):
	}
}

// attend gives those subscriptions a session that have none or the wrong one, and returns
// when it is to be called again; zero if nothing is due.
func (l *Listener) attend(sessions *sync.WaitGroup) (next time.Time) {
	l.mu.Lock()
	open := make([]SubscriptionID, 0, len(l.ears))
	for e, sub := range l.ears {
		switch now := time.Now(); {
		case !sub.again.After(now):
			open = append(open, e)
		case next.IsZero() || sub.again.Before(next):
			next = sub.again
		}
	}
	l.mu.Unlock()
	for _, e := range open {
		l.renewUnheard(e)
		at, err := l.be.resolve(e) // which may take a flight
		if err != nil {
			l.lost(e, nil, err) // which rouses us
			continue
		}
		l.place(e, at, sessions)
	}
	return next
}

// place has a subscription listen at a server.
func (l *Listener) place(e SubscriptionID, at redis.UniversalClient, sessions *sync.WaitGroup) {
	l.change(func() func() {
		sub := l.ears[e]
		if sub == nil || sub.session != nil && sub.session.at == at {
			return nil
		}
		before := sub.session
		sub.session = l.sessionAt(at, sessions)
		sub.session.take(e)
		if before == nil {
			return nil
		}
		// The old node is not asked to end the subscription: it does so by
		// itself, and would refuse to be asked about a slot that it has not.
		before.forget(e)
		return func() { l.handler.Down(e, errMoved) }
	})
}

// sessionAt returns the session with a server. The caller holds mu.
func (l *Listener) sessionAt(at redis.UniversalClient, sessions *sync.WaitGroup) *session {
	for s := range l.sessions {
		if s.at == at && !s.ending {
			return s
		}
	}
	s := newSession(l, at)
	l.sessions[s] = true
	sessions.Go(s.run)
	return s
}

// confirmed takes note that a subscription is confirmed.
func (l *Listener) confirmed(e SubscriptionID, s *session) {
	l.change(func() func() {
		sub := l.ears[e]
		if sub == nil || sub.session != s {
			return nil
		}
		sub.pause = 0
		return func() { l.handler.Up(e) }
	})
}

// lost takes note that a subscription's subscription with s, or without any, has failed.
func (l *Listener) lost(e SubscriptionID, s *session, err error) {
	mine := false
	l.change(func() func() {
		sub := l.ears[e]
		if mine = sub != nil && sub.session == s; !mine {
			return nil
		}
		sub.session = nil
		sub.pause = min(max(minReconnect, 2*sub.pause), maxReconnect)
		sub.again = time.Now().Add(sub.pause)
		return func() { l.handler.Down(e, err) }
	})
	if !mine {
		return
	}
	if l.be.slotMap != nil {
		l.be.slotMap.refresh()
	}
	l.wakeUp()
}
