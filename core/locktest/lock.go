package locktest

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/core"
)

// lock is one holder's lock on one key of a Fake.
type lock struct {
	fake      *Fake
	key       string
	token     uint64
	info      core.Info
	settings  core.Settings
	since     time.Time
	elsewhere bool // held by Hold: another process
	ctx       context.Context
	cancel    context.CancelCauseFunc

	// The rest is guarded by fake.mu.
	expires  time.Time   // of a lease that is no longer renewed
	timer    *time.Timer // MaxHold, then the expiry
	released bool
}

var _ core.Lock = (*lock)(nil)

// held is the innermost lock that a context runs under. The Fake keeps a chain
// of its own beside [core.NewContext]'s value, which holds one lock only and
// may be a wrapper (core.Observe) that cannot be recognized.
type held struct {
	lock  *lock
	outer *held
}

type heldKey struct{}

// heldBy tells whether ctx runs under a lock on key that it has yet to release.
// f.mu is held.
func (f *Fake) heldBy(ctx context.Context, key string) bool {
	h, _ := ctx.Value(heldKey{}).(*held)
	for ; h != nil; h = h.outer {
		if h.lock.fake == f && h.lock.key == key && !h.lock.released {
			return true
		}
	}
	return false
}

// newLock returns the lock for w. f.mu is held.
func (f *Fake) newLock(w *waiter) *lock {
	l := &lock{
		fake: f, key: w.key, token: f.nextToken(),
		info: w.info, settings: w.settings, since: w.asked,
	}
	outer, _ := w.ctx.Value(heldKey{}).(*held)
	ctx := context.WithValue(w.ctx, heldKey{}, &held{lock: l, outer: outer})
	l.ctx, l.cancel = context.WithCancelCause(core.NewContext(ctx, l))
	if d := l.settings.MaxHold; d > 0 {
		l.timer = time.AfterFunc(d, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			l.lapse(core.ErrMaxHold)
		})
	}
	return l
}

func (l *lock) Key() string              { return l.key }
func (l *lock) Token() uint64            { return l.token }
func (l *lock) Context() context.Context { return l.ctx }
func (l *lock) Info() core.Info          { return l.info }

func (l *lock) Remaining() time.Duration {
	l.fake.mu.Lock()
	defer l.fake.mu.Unlock()
	return l.remaining()
}

// remaining is the TTL while the lease is renewed: the Fake's renewals take no
// time. fake.mu is held.
func (l *lock) remaining() time.Duration {
	switch {
	case !l.holds():
		return 0
	case l.expires.IsZero():
		return l.settings.TTL
	default:
		return max(0, time.Until(l.expires))
	}
}

// holds tells whether the lease is still this lock's. fake.mu is held.
func (l *lock) holds() bool {
	line := l.fake.lines[l.key]
	return line != nil && line.holder == l
}

// Release is answered at once and so never needs ctx, ended or not.
func (l *lock) Release(context.Context) error {
	l.fake.mu.Lock()
	defer l.fake.mu.Unlock()
	if l.released {
		return core.ErrReleased
	}
	l.released = true
	if !l.holds() {
		return core.ErrLost
	}
	how := core.HandoffLocal
	if l.elsewhere {
		how = core.HandoffRemote
	}
	l.end(core.ErrReleased, how)
	return nil
}

// end takes the lease away: the context is cancelled with cause and the next
// in line is granted. fake.mu is held.
func (l *lock) end(cause error, how core.Handoff) {
	if l.timer != nil {
		l.timer.Stop()
	}
	l.cancel(cause)
	l.fake.pass(l, how)
}

// lapse tells the holder to stop and renews the lease no more: the key is free
// at its Release or a TTL later, whichever is first. fake.mu is held.
func (l *lock) lapse(cause error) {
	if !l.holds() || !l.expires.IsZero() {
		return
	}
	if l.timer != nil {
		l.timer.Stop()
	}
	l.expires = time.Now().Add(l.settings.TTL)
	l.timer = time.AfterFunc(l.settings.TTL, func() {
		l.fake.mu.Lock()
		defer l.fake.mu.Unlock()
		if l.holds() {
			l.end(core.ErrLost, core.HandoffNone)
		}
	})
	l.cancel(cause)
}

func (l *lock) describe() *core.Holder {
	return &core.Holder{Meta: l.settings.Meta, Since: l.since}
}
