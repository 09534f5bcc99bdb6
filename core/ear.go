package core

import (
	"time"

	"github.com/latchkey-go/latchkey/core/internal/clockwork"
	"github.com/latchkey-go/latchkey/core/internal/remote"
)

// The pauses between new subscriptions, if Redis goes on to say that nobody listens.
const (
	minRenewPause = time.Second
	maxRenewPause = 30 * time.Second
)

// hearingCheck is how often it is asked, while somebody waits, whether Redis knows
// that this process listens.
const hearingCheck = 500 * time.Millisecond

// earIdle is how long, at least, a subscription of one bucket is kept that nobody
// needs any more; at most twice that.
const earIdle = 30 * time.Second

// ear is a subscription by which this process hears of grants: one for all keys,
// or on a cluster one for the keys of each bucket. It is open from when somebody
// first waits. Its fields are guarded by RedisLocker.mu.
type ear struct {
	locker  *RedisLocker
	number  remote.Ear
	names   remote.Names    // of a key that it hears about
	waiting int             // requests in line for its keys
	open    bool            // it is to be subscribed
	hears   bool            // the subscription is confirmed
	renewal time.Time       // it is not made again before
	pause   time.Duration   // between renewals, doubling
	used    bool            // somebody waited since alarm was set
	alarm   clockwork.Alarm // on RedisLocker.work, with more ears than one
	check   clockwork.Alarm // on RedisLocker.work, while somebody waits
	checked bool            // check is set
}

// earOf returns the ear that hears about names. The caller holds mu.
func (l *RedisLocker) earOf(names remote.Names) *ear {
	n := l.room.Ear(names)
	r := l.ears[n]
	if r == nil {
		r = &ear{locker: l, number: n, names: names}
		l.ears[n] = r
	}
	return r
}

// listen sees to it that this process hears of grants by r. The caller holds mu.
func (l *RedisLocker) listen(r *ear) {
	r.used = true
	if !r.checked {
		r.checked = true
		l.work.Set(&r.check, time.Now().Add(hearingCheck), (*hearing)(r))
	}
	if r.open || l.closed {
		return
	}
	if l.listener == nil {
		l.listener = l.room.Listen(l.process, remote.Handler{
			Granted: l.granted, Contended: l.contended, Broken: l.saidBroken, Up: l.hears, Down: l.deaf,
		})
	}
	r.open = true
	l.listener.Open(r.number)
	if l.room.Ears() > 1 {
		l.work.Set(&r.alarm, time.Now().Add(earIdle), r)
	}
}

// Due shuts an ear that nobody has needed since the alarm was set.
func (r *ear) Due() {
	l := r.locker
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.used || r.waiting > 0 {
		r.used = false
		l.work.Set(&r.alarm, time.Now().Add(earIdle), r)
		return
	}
	r.open, r.hears = false, false
	l.listener.Shut(r.number)
}

// hearing is the check of an ear, as a task.
type hearing ear

// Due asks whether Redis knows of the subscription, as long as somebody waits. What
// those who wait ask themselves tells it, too, but not as soon.
func (h *hearing) Due() {
	r, l := (*ear)(h), h.locker
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.checked = r.waiting > 0 && !l.closed; !r.checked {
		return
	}
	l.work.Set(&r.check, time.Now().Add(hearingCheck), h)
	if !r.hears {
		return
	}
	l.room.Do(remote.AskListening(r.names, l.process), func(a remote.Answer) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if a.Err == nil {
			l.listensThere(r, a.Reply.Heard, a.Sent)
		}
	})
}

// hears has every entry ask again once an ear's subscription is confirmed: some
// were kept from standing in line until now, and for others the grant may have
// been published while nobody listened.
func (l *RedisLocker) hears(n remote.Ear) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.ears[n]
	if !r.open {
		return // shut meanwhile
	}
	r.hears = true
	for _, e := range l.entries {
		switch {
		case e.queue.ear != r:
		case e.life == held && e.queue.line.length > 0:
			// A note that another process waits may have been lost, too. The
			// answer to a renewal tells.
			l.sendRenewal(e, 0)
		case (e.life == asking || e.life == waiting) && e.inFlight == 0:
			l.send(e)
		case e.life == waiting:
			e.known().again = true // its poll may have been done before
		}
	}
}

// deaf has entries poll, without a place in line, until the subscription is there
// again.
func (l *RedisLocker) deaf(n remote.Ear, _ error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.ears[n]; r.open {
		r.hears = false
	}
}

// listensThere takes note whether Redis knows of this process's subscription, by the
// answer to a question that was sent then. If it does not, although the subscription
// is confirmed, another server has it: the address leads elsewhere by now. The caller
// holds mu.
func (l *RedisLocker) listensThere(r *ear, heard bool, sent time.Time) {
	now := time.Now()
	switch {
	case heard:
		r.pause = 0
	case r.hears && !now.Before(r.renewal):
		r.pause = min(max(minRenewPause, 2*r.pause), maxRenewPause)
		r.renewal = now.Add(r.pause)
		l.listener.Renew(r.number, sent)
	}
}
