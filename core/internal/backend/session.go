package backend

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// healthInterval is how often a silent session is probed; one that stays silent
// through two is given up. A half-open connection would else never be noticed:
// nobody writes to it. It is noticed after one to three intervals, because the
// first may begin just after an answer.
const healthInterval = 2 * time.Second

var (
	errSilent       = errors.New("redis: the subscription no longer answers")
	errMoved        = errors.New("redis: the bucket has moved to another node")
	errUnsubscribed = errors.New("redis: the node has ended the subscription")
	errDemoted      = errors.New("redis: the server is no primary any more")
	errUnheard      = errors.New("redis: the server that operations go to has no subscription of this process")
)

// session is one connection with subscriptions. It never outlives a failure:
// what go-redis would do by itself on a broken connection is not told to us in
// time, and it would subscribe to channels of several slots in one command, which
// a cluster refuses.
type session struct {
	listener *Listener
	at       redis.UniversalClient
	ps       *redis.PubSub
	ctx      context.Context
	cancel   context.CancelFunc
	begun    time.Time
	wake     chan struct{} // capacity 1: something is to be sent

	// Guarded by Listener.mu.
	ending        bool
	orders        []order
	asked         []order                 // those that are not answered, in the order they were sent
	subscriptions map[SubscriptionID]bool // those that it has, or is to have
	heard         int                     // messages
	probe         bool                    // a sign of life is to be asked for
	reason        error                   // why it has to end, if there is one beside the connection's
}

// order is a subscription to be made, or ended.
type order struct {
	sub SubscriptionID
	end bool
}

func newSession(l *Listener, at redis.UniversalClient) *session {
	ctx, cancel := context.WithCancel(l.ctx)
	return &session{
		listener: l, at: at, ctx: ctx, cancel: cancel, begun: time.Now(),
		wake: make(chan struct{}, 1), subscriptions: make(map[SubscriptionID]bool),
	}
}

// take has s subscribe for e. The caller holds Listener.mu.
func (s *session) take(e SubscriptionID) {
	s.subscriptions[e] = true
	s.order(order{sub: e})
}

// drop has s end the subscription for e, and itself with the last one. The caller
// holds Listener.mu.
func (s *session) drop(e SubscriptionID) {
	if s.forget(e) {
		s.order(order{sub: e, end: true})
	}
}

// forget has s do without e, and end without any; then it returns false. The
// caller holds Listener.mu.
func (s *session) forget(e SubscriptionID) bool {
	delete(s.subscriptions, e)
	if len(s.subscriptions) == 0 {
		s.end()
	}
	return !s.ending
}

func (s *session) order(o order) {
	s.orders = append(s.orders, o)
	s.wakeUp()
}

// wakeUp has what is to be sent be sent.
func (s *session) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// end ends s. The caller holds Listener.mu.
func (s *session) end() {
	s.ending = true
	s.cancel()
}

// fail ends s for that reason. The caller holds Listener.mu.
func (s *session) fail(reason error) {
	if s.reason == nil {
		s.reason = reason
	}
	s.end()
}

// run connects, subscribes and reads until the connection fails or s is ended.
func (s *session) run() {
	l := s.listener
	err := s.listen()

	l.mu.Lock()
	s.end()
	delete(l.sessions, s)
	left := make([]SubscriptionID, 0, len(s.subscriptions))
	for e := range s.subscriptions {
		left = append(left, e)
	}
	if s.reason != nil {
		err = s.reason
	}
	l.mu.Unlock()
	for _, e := range left {
		l.lost(e, s, err)
	}
}

// listen is run up to the end of the connection.
func (s *session) listen() (err error) {
	l := s.listener
	defer l.be.panics.Contain(clientHook, &err)
	s.ps = l.be.subscribe(s.ctx, s.at)
	var closing sync.Once
	closeConn := func() { closing.Do(func() { _ = s.ps.Close() }) }
	defer closeConn()
	defer context.AfterFunc(s.ctx, closeConn)() // Receive does not heed ctx
	if err := s.write(); err != nil {           // connects
		return err
	}
	var writing sync.WaitGroup
	writing.Go(func() {
		defer s.cancel()
		l.be.panics.Run(clientHook, func() { s.writeAll(closeConn) })
	})
	defer writing.Wait()
	defer s.cancel()
	return s.read()
}

// writeAll sends what there is to send, and now and then a probe. An error is the
// reader's to notice.
func (s *session) writeAll(closeConn func()) {
	tick := time.NewTicker(healthInterval)
	defer tick.Stop()
	last, missed := 0, 0
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.wake:
			if s.write() != nil {
				closeConn()
			}
			if s.probes() {
				_ = s.ps.Ping(s.ctx)
			}
			continue
		case <-tick.C:
		}
		s.listener.mu.Lock()
		heard := s.heard
		if heard == last {
			missed++
		} else {
			missed = 0
		}
		silent := missed > 1
		if silent {
			s.fail(errSilent)
		}
		s.listener.mu.Unlock()
		switch {
		case silent:
			closeConn()
			return
		case heard == last:
			_ = s.ps.Ping(s.ctx)
		}
		last = heard
	}
}

// probes reports whether a sign of life is to be asked for now.
func (s *session) probes() bool {
	s.listener.mu.Lock()
	defer s.listener.mu.Unlock()
	probe := s.probe
	s.probe = false
	return probe
}

// write sends the subscriptions that are to be made or ended, each by a command of
// its own: their slots differ.
func (s *session) write() error {
	l := s.listener
	for {
		l.mu.Lock()
		if len(s.orders) == 0 {
			l.mu.Unlock()
			return nil
		}
		o := s.orders[0]
		s.orders = s.orders[1:]
		s.asked = append(s.asked, o)
		l.mu.Unlock()
		if err := s.send(o); err != nil {
			return err
		}
	}
}

func (s *session) send(o order) error {
	channel := s.listener.be.names.channel(o.sub, s.listener.process)
	sharded := s.listener.be.names.cluster
	switch {
	case o.end:
		return s.ps.SUnsubscribe(s.ctx, channel)
	case sharded:
		return s.ps.SSubscribe(s.ctx, channel)
	default:
		return s.ps.Subscribe(s.ctx, channel)
	}
}

// read hands on what comes, until the connection fails.
func (s *session) read() error {
	l := s.listener
	for {
		m, err := s.ps.Receive(s.ctx)
		l.mu.Lock()
		s.heard++
		l.mu.Unlock()
		switch m := m.(type) {
		case *redis.Subscription:
			if e, ok := l.be.names.subscriptionOf(m.Channel, l.process); ok {
				s.subscription(e, m.Kind)
			}
		case *redis.Message:
			l.call(func() { l.dispatch(m.Payload) })
		case nil:
			if !isServerReply(err) || redis.IsReadOnlyError(err) || !s.refusal(err) {
				return err
			}
		}
	}
}

// subscription takes note of an answer to a subscription, or of its end.
func (s *session) subscription(e SubscriptionID, kind string) {
	l := s.listener
	switch kind {
	case "subscribe", "ssubscribe":
		l.mu.Lock()
		s.answered(order{sub: e})
		l.mu.Unlock()
		l.confirmed(e, s)
	case "sunsubscribe":
		l.mu.Lock()
		ended := !s.answered(order{sub: e, end: true}) && s.subscriptions[e] // by the node
		if ended {
			s.forget(e)
		}
		l.mu.Unlock()
		if ended {
			l.lost(e, s, errUnsubscribed)
		}
	}
}

// answered takes o off those that are not answered, and tells whether it was
// among them. The caller holds Listener.mu.
func (s *session) answered(o order) bool {
	i := slices.Index(s.asked, o)
	if i >= 0 {
		s.asked = slices.Delete(s.asked, i, i+1)
	}
	return i >= 0
}

// refusal takes an error that the server has answered: it is about the oldest
// order that has no answer. False if the session ends with it: there is none, or
// it is about the only subscription.
func (s *session) refusal(err error) bool {
	l := s.listener
	l.mu.Lock()
	if len(s.asked) == 0 {
		l.mu.Unlock()
		// The end of a subscription may be asked for just when the node ends it
		// because the slot has moved, which is taken for the answer.
		return isRedirect(err)
	}
	o := s.asked[0]
	s.asked = s.asked[1:]
	switch e := o.sub; {
	case o.end || !s.subscriptions[e]: // nobody's any more
		l.mu.Unlock()
		return true
	case len(s.subscriptions) == 1:
		l.mu.Unlock()
		return false
	default:
		delete(s.subscriptions, e)
		l.mu.Unlock()
		l.lost(e, s, err)
		return true
	}
}
