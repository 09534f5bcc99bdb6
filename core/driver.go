package core

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/internal/engine"
	"github.com/latchkey-go/latchkey/core/internal/timer"
)

// What is done about the lock, and when, is decided by an engine.Machine. Here its
// events are brought to it, and its effects carried out.

// stepLocked has the machine take an event, and carries out what comes of it. The caller has
// to tell the holders what is returned, without mu.
func (l *RedisLocker) stepLocked(v *engine.Event, now time.Time, in *inline) []notice {
	var told []notice
	effects := l.machine.Step(v, now)
	for i := range effects {
		f := &effects[i]
		switch f.Kind {
		case engine.Send:
			l.send(f.Op, now, in)
		case engine.SetAlarm:
			l.setAlarm(f)
		case engine.ClearAlarm:
			l.clearAlarm(f)
		case engine.Grant:
			l.grant(f, now)
		case engine.Refuse:
			l.refuse(f, now)
		case engine.Notify:
			f.Request.Data.(*request).ready <- struct{}{}
		case engine.Stop, engine.Renewed:
			told = append(told, notice{f.Holder.(*lock), f.Kind, l.holderCause(f.Cause)})
		case engine.Released:
			f.Holder.(*lock).answer(f.Cause)
		case engine.ReleaseOrphan:
			m := v.Message
			id := backend.MakeID(l.process, l.sealer.Seal(m.Number))
			l.backend.Do(backend.Release(l.backend.Names(m.Key), id, 0, 0, ""), func(backend.Answer) {})
		case engine.Subscribe:
			l.listen(f.Subscription.Data.(*subscription))
		case engine.Unsubscribe:
			l.listener.Shut(f.Subscription.Data.(*subscription).id)
		case engine.Resubscribe:
			l.listener.Renew(f.Subscription.Data.(*subscription).id, f.At)
		}
	}
	return told
}

// step is stepLocked, and tells the holders.
func (l *RedisLocker) step(v *engine.Event) {
	l.mu.Lock()
	told := l.stepLocked(v, time.Now(), nil)
	l.mu.Unlock()
	tell(told)
}

// notice is what a holder is to be told: to stop, or what a renewal came to.
type notice struct {
	holder *lock
	kind   engine.EffectKind
	cause  error
}

func tell(told []notice) {
	for _, n := range told {
		if n.kind == engine.Stop {
			n.holder.stop(n.cause)
		} else {
			n.holder.renewed(cmp.Or(stopError(n.cause), n.cause))
		}
	}
}

// inline is whether a caller may make its own round trip to Redis, and that, once it is
// to make it.
type inline struct {
	may  bool
	call *backend.InlineCall
}

// entry is what stands in Redis.
type entry struct {
	engine.Entry
	locker *RedisLocker
	wire   backend.Entry // its text there; "" until it is first sent
	lock   *lock         // the present holder, or the last one
	asked  bool          // it was sent
	// call is the first question, until it is answered: nothing is known to Redis
	// before it has left this process.
	call *backend.Call

	next, expiry timer.Alarm // on background and deadlines
	maxHold      *timer.Alarm
}

// An entry's alarms, as tasks.
type (
	nextAlarm    entry
	expiryAlarm  entry
	maxHoldAlarm entry
)

func (e *nextAlarm) Due()    { (*entry)(e).due(engine.Next) }
func (e *expiryAlarm) Due()  { (*entry)(e).due(engine.Expiry) }
func (e *maxHoldAlarm) Due() { (*entry)(e).due(engine.MaxHold) }

func (e *entry) due(a engine.Alarm) {
	e.locker.step(&engine.Event{Kind: engine.Due, Alarm: a, Entry: &e.Entry})
}

// line is one key's requests.
type line struct {
	engine.Line
	names backend.Names // of its key, in Redis
}

func namesOf(q *engine.Line) backend.Names { return q.Data.(*line).names }

// subscription hears of some keys.
type subscription struct {
	engine.Subscription
	locker      *RedisLocker
	id          backend.SubscriptionID
	names       backend.Names // of a key that it hears about
	idle, check timer.Alarm   // on background
}

type (
	idleAlarm  subscription
	checkAlarm subscription
)

func (s *idleAlarm) Due()  { (*subscription)(s).due(engine.Idle) }
func (s *checkAlarm) Due() { (*subscription)(s).due(engine.Check) }

func (s *subscription) due(a engine.Alarm) {
	s.locker.step(&engine.Event{Kind: engine.Due, Alarm: a, Subscription: &s.Subscription})
}

// retryAlarm has a cleanup repeated.
type retryAlarm struct {
	locker  *RedisLocker
	cleanup *engine.Cleanup
	timer.Alarm
}

func (r *retryAlarm) Due() {
	r.locker.step(&engine.Event{Kind: engine.Due, Alarm: engine.Retry, Cleanup: r.cleanup})
}

// setAlarm sets the alarm of f: on deadlines what must not be late because of what talks
// to Redis, which is on background.
func (l *RedisLocker) setAlarm(f *engine.Effect) {
	switch f.Alarm {
	case engine.Next:
		e := f.Entry.Data.(*entry)
		l.background.Set(&e.next, f.At, (*nextAlarm)(e))
	case engine.Expiry:
		e := f.Entry.Data.(*entry)
		l.deadlines.Set(&e.expiry, f.At, (*expiryAlarm)(e))
	case engine.MaxHold:
		e := f.Entry.Data.(*entry)
		if e.maxHold == nil {
			e.maxHold = new(timer.Alarm)
		}
		l.deadlines.Set(e.maxHold, f.At, (*maxHoldAlarm)(e))
	case engine.Patience:
		r := f.Request.Data.(*request)
		l.deadlines.Set(&r.patience, f.At, r)
	case engine.Retry:
		if f.Cleanup.Data == nil {
			f.Cleanup.Data = &retryAlarm{locker: l, cleanup: f.Cleanup}
		}
		r := f.Cleanup.Data.(*retryAlarm)
		l.background.Set(&r.Alarm, f.At, r)
	case engine.Idle:
		s := f.Subscription.Data.(*subscription)
		l.background.Set(&s.idle, f.At, (*idleAlarm)(s))
	case engine.Check:
		s := f.Subscription.Data.(*subscription)
		l.background.Set(&s.check, f.At, (*checkAlarm)(s))
	}
}

// clearAlarm clears the alarm of f, which is an entry's.
func (l *RedisLocker) clearAlarm(f *engine.Effect) {
	e := f.Entry.Data.(*entry)
	switch f.Alarm {
	case engine.Next:
		l.background.Clear(&e.next)
	case engine.Expiry:
		l.deadlines.Clear(&e.expiry)
	case engine.MaxHold:
		l.deadlines.Clear(e.maxHold)
	}
}

// grant gives a request the lock.
func (l *RedisLocker) grant(f *engine.Effect, now time.Time) {
	e, r := f.Entry.Data.(*entry), f.Request.Data.(*request)
	r.info = r.describe()
	k := &lock{
		locker: l, entry: e, key: r.Key, name: r.settings.Name, token: f.Token, info: r.info,
		meta: r.Meta.(*Meta), since: now, asked: r.Wait,
	}
	k.info.Handoff, k.info.Predecessor = Handoff(f.Handoff), holderIn(f.From)
	k.info.Waited, k.info.LeaseTTL = now.Sub(r.Start), e.TTL
	e.lock, e.Holder = k, k
	r.settle(outcome{lock: k})
}

// refuse sends a request away.
func (l *RedisLocker) refuse(f *engine.Effect, now time.Time) {
	r := f.Request.Data.(*request)
	out := outcome{err: refusals[f.Refusal], cause: l.refusalCause(f.Cause, r.Key)}
	r.info = r.describe()
	r.info.RetryAfter = l.retryHint(r, f.Obstacle, out.err, out.cause, now)
	r.settle(out)
}

// refusals are why a request goes away, for its caller.
var refusals = [...]error{
	engine.Held: ErrHeld, engine.QueueFull: ErrQueueFull, engine.TimedOut: ErrWaitTimeout, engine.Backend: ErrBackend, engine.Closed: ErrClosed,
}

var (
	errManyWait = fmt.Errorf("core: %d requests wait in this process", maxProcessWaiters)
	errNoAnswer = errors.New("core: Redis did not answer in time")
	errNotSent  = errors.New("core: so much is asked of Redis at a time that this had to wait in the process")
	errLapsed   = errors.New("core: Redis answers more slowly than the lease lasts: the TTL is too short")
	errCutOff   = errors.Join(ErrLost, ErrClosed)
)

// refusalCause is what is behind a refusal, for its caller.
func (l *RedisLocker) refusalCause(err error, key string) error {
	switch err {
	case engine.ErrNoAnswer:
		return l.noAnswer(key)
	case engine.ErrNotSent:
		return errNotSent
	case engine.ErrManyWait:
		return errManyWait
	case engine.ErrLapsed:
		return errLapsed
	case engine.ErrUnexpected:
		return &backend.ScriptError{Text: "unexpected answer to an acquire"}
	}
	return err
}

// noAnswer is the cause where a question has no answer: why Redis cannot be asked, if
// that is known.
func (l *RedisLocker) noAnswer(key string) error {
	if down, ok := errors.AsType[*backend.DownError](l.backend.Down(l.backend.Names(key))); ok && down.Cause != nil {
		return down.Cause
	}
	return errNoAnswer
}

// holderCause is why a holder must stop, for that.
func (l *RedisLocker) holderCause(err error) error {
	switch err {
	case engine.ErrLost:
		return ErrLost
	case engine.ErrBroken:
		return ErrBroken
	case engine.ErrBrokenNow:
		return errBrokenNow
	case engine.ErrMaxHold:
		return ErrMaxHold
	case engine.ErrCutOff:
		return errCutOff
	}
	return err
}

// holderIn describes a holder that the machine knows of: a lock of this process, or what
// an answer or a message has told of another's.
func holderIn(who any) *Holder {
	switch who := who.(type) {
	case *lock:
		return who.holder()
	case *Holder:
		return who
	case string:
		return decodeHolder(who)
	}
	return nil
}

// What follows is the machine's engine.World.

// NewLine returns a line for key.
func (w *world) NewLine(key string) *engine.Line {
	l := (*RedisLocker)(w)
	q := &line{names: l.backend.Names(key)}
	q.Line = engine.Line{Key: key, Subscription: &l.subscriptionOf(q.names).Subscription, Data: q}
	return &q.Line
}

// world is what a RedisLocker's machine asks.
type world RedisLocker

// NewEntry returns an entry.
func (w *world) NewEntry() *engine.Entry {
	e := &entry{locker: (*RedisLocker)(w)}
	e.Data = e
	return &e.Entry
}

// Down tells why the server of a line counts as down.
func (w *world) Down(q *engine.Line) error { return w.backend.Down(namesOf(q)) }

// Withdraw takes back the first question for an entry, if it has not been sent.
func (w *world) Withdraw(of *engine.Entry) bool {
	e := of.Data.(*entry)
	if !w.backend.Withdraw(e.call) {
		return false
	}
	e.call = nil
	return true
}

// Sent returns when the first question for an entry was sent.
func (w *world) Sent(of *engine.Entry) (time.Time, bool) {
	e := of.Data.(*entry)
	if e.call == nil {
		return time.Time{}, false
	}
	if left, ok := w.backend.SentAt(e.call); ok {
		return left, true
	}
	return time.Time{}, true
}

// Jitter returns a duration near d.
func (w *world) Jitter(d time.Duration) time.Duration { return jitter(d) }

// subscriptionOf is what hears about a key.
func (l *RedisLocker) subscriptionOf(names backend.Names) *subscription {
	n := l.backend.SubscriptionOf(names)
	s := l.subscriptions[n]
	if s == nil {
		s = &subscription{locker: l, id: n, names: names}
		s.Data = s
		l.subscriptions[n] = s
	}
	return s
}

// listen opens a subscription.
func (l *RedisLocker) listen(s *subscription) {
	if l.listener == nil {
		l.listener = l.backend.Listen(l.process, backend.Handler{
			Granted: l.onGrantMessage, Contended: l.onContentionMessage, Broken: l.onBreakMessage, Up: l.onSubscribed, Down: l.onSubscriptionDown,
		})
	}
	l.listener.Open(s.id)
}

func (l *RedisLocker) onSubscribed(n backend.SubscriptionID) { l.onSubscription(engine.Up, n) }

func (l *RedisLocker) onSubscriptionDown(n backend.SubscriptionID, _ error) {
	l.onSubscription(engine.Down, n)
}

func (l *RedisLocker) onSubscription(kind engine.EventKind, n backend.SubscriptionID) {
	l.mu.Lock()
	told := l.stepLocked(&engine.Event{Kind: kind, Subscription: &l.subscriptions[n].Subscription}, time.Now(), nil)
	l.mu.Unlock()
	tell(told)
}
