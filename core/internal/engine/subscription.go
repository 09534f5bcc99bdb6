package engine

import (
	"maps"
	"slices"
	"time"
)

const (
	// A subscription that another server has is made anew, the first time after
	// minRenewPause.
	minRenewPause = time.Second
	maxRenewPause = 30 * time.Second

	// subscriptionCheckInterval is how often Redis is asked whether it knows of a
	// subscription, while somebody waits.
	subscriptionCheckInterval = 500 * time.Millisecond

	// SubscriptionIdle is after how long a subscription that nobody needs is shut, where
	// there is more than one: at most twice as long.
	SubscriptionIdle = 30 * time.Second
)

// Subscription is what a process hears about some of its keys by.
type Subscription struct {
	Data any // the driver's

	requests   int           // in line for its keys
	open       bool          // it is to be subscribed
	active     bool          // it is confirmed
	renewAfter time.Time     // it is not made again before
	pause      time.Duration // between renewals, doubling
	used       bool          // somebody waited since the alarm for Idle was set
	checked    bool          // the alarm for Check is set
}

// subscribe opens a subscription for somebody who is about to wait, if it is not open.
func (m *Machine) subscribe(s *Subscription, now time.Time) {
	s.used = true
	if !s.checked {
		s.checked = true
		m.alarmOf(s, Check, now.Add(subscriptionCheckInterval))
	}
	if s.open || m.closed {
		return
	}
	s.open = true
	m.do(Effect{Kind: Subscribe, Subscription: s})
	if m.CloseIdle {
		m.alarmOf(s, Idle, now.Add(SubscriptionIdle))
	}
}

func (m *Machine) alarmOf(s *Subscription, a Alarm, at time.Time) {
	m.do(Effect{Kind: SetAlarm, Alarm: a, Subscription: s, At: at})
}

// onIdle shuts a subscription that nobody has needed since the alarm was set.
func (m *Machine) onIdle(s *Subscription, now time.Time) {
	if s.used || s.requests > 0 {
		s.used = false
		m.alarmOf(s, Idle, now.Add(SubscriptionIdle))
		return
	}
	s.open, s.active = false, false
	m.do(Effect{Kind: Unsubscribe, Subscription: s})
}

// onCheck asks whether Redis knows of the subscription, as long as somebody waits. What
// those who wait ask themselves tells it, too, but not as soon.
func (m *Machine) onCheck(s *Subscription, now time.Time) {
	if s.checked = s.requests > 0 && !m.closed; !s.checked {
		return
	}
	m.alarmOf(s, Check, now.Add(subscriptionCheckInterval))
	if s.active {
		m.ask(Op{Kind: OpListening, Subscription: s})
	}
}

// onUp has every entry ask again once a subscription is confirmed: some
// were kept from standing in line until now, and for others the grant may have
// been published while nobody listened.
func (m *Machine) onUp(s *Subscription, now time.Time) {
	if !s.open {
		return // shut meanwhile
	}
	s.active = true
	for _, number := range slices.Sorted(maps.Keys(m.entries)) {
		switch e := m.entries[number]; {
		case e.line.Subscription != s:
		case e.state == held && e.line.requests.length > 0:
			// A note that another process waits may have been lost, too. The
			// answer to a renewal tells.
			m.sendRenewal(e, 0, now)
		case (e.state == asking || e.state == queued) && e.inFlight == 0:
			m.send(e, now)
		case e.state == queued:
			e.ensureWait().askAgain = true // its poll may have been done before
		}
	}
}

// onDown has entries poll, without a place in line, until the subscription is there
// again.
func (m *Machine) onDown(s *Subscription) {
	if s.open {
		s.active = false
	}
}

// verify takes note whether Redis knows of a subscription, by the answer to a question
// that was sent then. If it does not, although the subscription is confirmed, another
// server has it: the address leads elsewhere by now.
func (m *Machine) verify(s *Subscription, heard bool, sent, now time.Time) {
	switch {
	case heard:
		s.pause = 0
	case s.active && !now.Before(s.renewAfter):
		s.pause = min(max(minRenewPause, 2*s.pause), maxRenewPause)
		s.renewAfter = now.Add(s.pause)
		m.do(Effect{Kind: Resubscribe, Subscription: s, At: sent})
	}
}
