package core

import (
	"time"

	"github.com/latchkey-go/latchkey/core/internal/clockwork"
	"github.com/latchkey-go/latchkey/core/internal/remote"
)

// earIdle is how long, at least, a subscription of one bucket is kept that nobody
// needs any more; at most twice that.
const earIdle = 30 * time.Second

// ear is a subscription by which this process hears of grants: one for all keys,
// or on a cluster one for the keys of each bucket. It is open from when somebody
// first waits. Its fields are guarded by RedisLocker.mu.
type ear struct {
	locker  *RedisLocker
	number  remote.Ear
	waiting int             // requests in line for its keys
	open    bool            // it is to be subscribed
	hears   bool            // the subscription is confirmed
	fault   error           // why it is not, if that is known
	used    bool            // somebody waited since alarm was set
	alarm   clockwork.Alarm // on RedisLocker.work, with more ears than one
}

// earOf returns the ear that hears about names. The caller holds mu.
func (l *RedisLocker) earOf(names remote.Names) *ear {
	n := l.room.Ear(names)
	r := l.ears[n]
	if r == nil {
		r = &ear{locker: l, number: n}
		l.ears[n] = r
	}
	return r
}

// listen sees to it that this process hears of grants by r. The caller holds mu.
func (l *RedisLocker) listen(r *ear) {
	r.used = true
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
	r.open, r.hears, r.fault = false, false, nil
	l.listener.Shut(r.number)
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
	r.hears, r.fault = true, nil
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

func (l *RedisLocker) deaf(n remote.Ear, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.ears[n]; r.open {
		r.hears, r.fault = false, err
	}
}
