package core

import (
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/internal/timer"
)

// The pauses between new subscriptions, if Redis goes on to say that nobody listens.
const (
	minRenewPause = time.Second
	maxRenewPause = 30 * time.Second
)

// hearingCheck is how often it is asked, while somebody waits, whether Redis knows
// that this process listens.
const subscriptionCheckInterval = 500 * time.Millisecond

// earIdle is how long, at least, a subscription of one bucket is kept that nobody
// needs any more; at most twice that.
const subscriptionIdle = 30 * time.Second

// subscription is a subscription by which this process hears of grants: one for all keys,
// or on a cluster one for the keys of each bucket. It is open from when somebody
// first waits. Its fields are guarded by RedisLocker.mu.
type subscription struct {
	locker     *RedisLocker
	id         backend.SubscriptionID
	names      backend.Names // of a key that it hears about
	waiters    int           // requests in line for its keys
	open       bool          // it is to be subscribed
	active     bool          // the subscription is confirmed
	renewAfter time.Time     // it is not made again before
	pause      time.Duration // between renewals, doubling
	used       bool          // somebody waited since alarm was set
	alarm      timer.Alarm   // on RedisLocker.work, with more subscriptions than one
	check      timer.Alarm   // on RedisLocker.work, while somebody waits
	checked    bool          // check is set
}

// subscriptionOf returns the subscription that hears about names. The caller holds mu.
func (l *RedisLocker) subscriptionOf(names backend.Names) *subscription {
	n := l.backend.SubscriptionOf(names)
	r := l.subscriptions[n]
	if r == nil {
		r = &subscription{locker: l, id: n, names: names}
		l.subscriptions[n] = r
	}
	return r
}

// subscribe sees to it that this process hears of grants by r. The caller holds mu.
func (l *RedisLocker) subscribe(r *subscription) {
	r.used = true
	if !r.checked {
		r.checked = true
		l.background.Set(&r.check, time.Now().Add(subscriptionCheckInterval), (*subscriptionCheck)(r))
	}
	if r.open || l.closed {
		return
	}
	if l.listener == nil {
		l.listener = l.backend.Listen(l.process, backend.Handler{
			Granted: l.onGrantMessage, Contended: l.onContentionMessage, Broken: l.onBreakMessage, Up: l.onSubscribed, Down: l.onSubscriptionDown,
		})
	}
	r.open = true
	l.listener.Open(r.id)
	if l.backend.Subscriptions() > 1 {
		l.background.Set(&r.alarm, time.Now().Add(subscriptionIdle), r)
	}
}

// Due shuts a subscription that nobody has needed since the alarm was set.
func (r *subscription) Due() {
	l := r.locker
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.used || r.waiters > 0 {
		r.used = false
		l.background.Set(&r.alarm, time.Now().Add(subscriptionIdle), r)
		return
	}
	r.open, r.active = false, false
	l.listener.Shut(r.id)
}

// subscriptionCheck is the check of a subscription, as an alarm.
type subscriptionCheck subscription

// Due asks whether Redis knows of the subscription, as long as somebody waits. What
// those who wait ask themselves tells it, too, but not as soon.
func (h *subscriptionCheck) Due() {
	r, l := (*subscription)(h), h.locker
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.checked = r.waiters > 0 && !l.closed; !r.checked {
		return
	}
	l.background.Set(&r.check, time.Now().Add(subscriptionCheckInterval), h)
	if !r.active {
		return
	}
	l.backend.Do(backend.AskListening(r.names, l.process), func(a backend.Answer) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if a.Err == nil {
			l.verifySubscription(r, a.Reply.Heard, a.Sent)
		}
	})
}

// onSubscribed has every entry ask again once a subscription's subscription is confirmed: some
// were kept from standing in line until now, and for others the grant may have
// been published while nobody listened.
func (l *RedisLocker) onSubscribed(n backend.SubscriptionID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.subscriptions[n]
	if !r.open {
		return // shut meanwhile
	}
	r.active = true
	for _, e := range l.entries {
		switch {
		case e.queue.subscription != r:
		case e.state == held && e.queue.line.length > 0:
			// A note that another process waits may have been lost, too. The
			// answer to a renewal tells.
			l.sendRenewal(e, 0)
		case (e.state == asking || e.state == queued) && e.inFlight == 0:
			l.send(e)
		case e.state == queued:
			e.ensureQueueInfo().askAgain = true // its poll may have been done before
		}
	}
}

// onSubscriptionDown has entries poll, without a place in line, until the subscription is there
// again.
func (l *RedisLocker) onSubscriptionDown(n backend.SubscriptionID, _ error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.subscriptions[n]; r.open {
		r.active = false
	}
}

// verifySubscription takes note whether Redis knows of this process's subscription, by the
// answer to a question that was sent then. If it does not, although the subscription
// is confirmed, another server has it: the address leads elsewhere by now. The caller
// holds mu.
func (l *RedisLocker) verifySubscription(r *subscription, heard bool, sent time.Time) {
	now := time.Now()
	switch {
	case heard:
		r.pause = 0
	case r.active && !now.Before(r.renewAfter):
		r.pause = min(max(minRenewPause, 2*r.pause), maxRenewPause)
		r.renewAfter = now.Add(r.pause)
		l.listener.Renew(r.id, sent)
	}
}
