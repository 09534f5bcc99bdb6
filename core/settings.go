package core

import (
	"errors"
	"fmt"
	"time"
)

// Limits of the settings.
const (
	MinTTL  = 10 * time.Millisecond
	MaxTTL  = 24 * time.Hour
	MaxWait = 24 * time.Hour
	// MaxKeyLen is the longest key, in bytes. Package keys shortens longer
	// ones by hashing their tail.
	MaxKeyLen = 512
)

// Settings are the terms of one acquisition. They start as the Locker's
// defaults; a Guard's and then a call's own options go over them.
// They are exported for other implementations of [Locker].
type Settings struct {
	// TTL is the lease's time to live: how long a key stays locked after its
	// holder dies. It is renewed at a third.
	TTL time.Duration
	// Wait is the longest time in line; zero does not wait.
	Wait time.Duration
	// MaxWaiters is the most requests that wait for one key in this process;
	// with zero, none does.
	MaxWaiters int
	// MaxHold is the longest time one holder may keep the lock; zero is no
	// bound.
	MaxHold time.Duration
	// Name says, in telemetry, what is locked: a route pattern, a full method.
	// It must be of low cardinality and never hold a key.
	Name string
	// Meta is what others see of this holder.
	Meta Meta

	shadow bool          // what observers are told, see Attempt
	inLine *observedLock // whose observer hears when the wait begins; nil for none
}

// TellWaiting tells the observer of this acquisition, if it has one, that it is in
// line and about to wait: see [Observer]. It is for other implementations of
// [Locker], which call it in the goroutine of Acquire, at most once, and without a
// lock that an observer might want.
func (s *Settings) TellWaiting() {
	if s.inLine != nil {
		s.inLine.waiting()
	}
}

// DefaultSettings are what [New] starts from.
func DefaultSettings() Settings {
	return Settings{TTL: 10 * time.Second, Wait: 30 * time.Second, MaxWaiters: 1000}
}

// With returns the settings with opts applied, in order, and an error that
// matches [ErrOption] and lists everything that is out of range.
func (s Settings) With(opts ...AcquireOption) (Settings, error) {
	err := s.apply(opts)
	return s, err
}

// apply is With, in place.
func (s *Settings) apply(opts []AcquireOption) error {
	for _, o := range opts {
		if o != nil {
			o.applyAcquire(s)
		}
	}
	return s.validate()
}

func (s Settings) validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrOption}, args...)...))
	}
	if s.TTL < MinTTL || s.TTL > MaxTTL {
		bad("TTL %v is not between %v and %v", s.TTL, MinTTL, MaxTTL)
	}
	if s.Wait < 0 || s.Wait > MaxWait {
		bad("Wait %v is not between 0 and %v", s.Wait, MaxWait)
	}
	if s.MaxWaiters < 0 {
		bad("MaxWaiters %d is negative", s.MaxWaiters)
	}
	if s.MaxHold < 0 {
		bad("MaxHold %v is negative", s.MaxHold)
	}
	return errors.Join(errs...)
}

// AcquireOption changes the terms of one acquisition.
type AcquireOption interface{ applyAcquire(*Settings) }

// GuardOption configures a [Guard].
type GuardOption interface{ applyGuard(*guardOptions) }

// Option configures a [RedisLocker].
type Option interface{ applyLocker(*lockerOptions) }

// Setting is an option for [New] (the default of all acquisitions), for
// [NewGuard] (the default of the guard's) and for Acquire and [Guard.Run]
// (this one only).
type Setting struct{ set func(*Settings) }

func (o Setting) applyAcquire(s *Settings) {
	if o.set != nil {
		o.set(s)
	}
}
func (o Setting) applyGuard(g *guardOptions)   { g.settings = append(g.settings, o) }
func (o Setting) applyLocker(l *lockerOptions) { o.applyAcquire(&l.settings) }

// TTL sets the lease's time to live, between [MinTTL] and [MaxTTL]; the
// default is 10 s. The lease is renewed at a third of it while the holder
// lives, so it bounds how long a key stays locked after a crash, not how long
// a holder may work.
func TTL(d time.Duration) Setting { return Setting{func(s *Settings) { s.TTL = d }} }

// Wait sets the longest time in line, at most [MaxWait]; the default is 30 s
// (5 s in transports). Wait(0) does not wait: a held key is [ErrHeld].
func Wait(d time.Duration) Setting { return Setting{func(s *Settings) { s.Wait = d }} }

// MaxWaiters caps the requests that wait for one key in this process; the
// default is 1,000 (100 in transports). One more is [ErrQueueFull], at once.
func MaxWaiters(n int) Setting { return Setting{func(s *Settings) { s.MaxWaiters = n }} }

// MaxHold bounds how long one holder keeps the lock; the default is no bound
// (5 min in transports). When it is over, the holder's context is cancelled
// with cause [ErrMaxHold] and the lease is no longer renewed, so a holder that
// does not heed its context keeps the key for at most one more TTL.
func MaxHold(d time.Duration) Setting { return Setting{func(s *Settings) { s.MaxHold = d }} }

// Name says, in telemetry, what is locked. Of low cardinality: a route pattern
// or a full method, never a key.
func Name(name string) Setting { return Setting{func(s *Settings) { s.Name = name }} }

// WithMeta describes the holder to others; fields that are not set keep their
// value.
func WithMeta(m Meta) Setting { return Setting{func(s *Settings) { s.Meta = s.Meta.over(m) }} }
