package httpmw

import (
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/core"
)

// perRequest are the terms that depend on the request; those that are nil do not.
type perRequest struct {
	wait       func(*http.Request) time.Duration
	maxWaiters func(*http.Request) int
	ttl        func(*http.Request) time.Duration
	maxHold    func(*http.Request) time.Duration
}

// WaitFunc is [Wait] as a function of the request: a batch client may wait longer
// than a browser. Of Wait and WaitFunc the last one rules.
//
// It is called once for each request that has its key, before it gets in line,
// by many at once, and must not read the body. A result that Wait would refuse is
// a fault in the program, and the request is denied with 500 and LOCK_INTERNAL:
// no value that the route did not ask for takes its place. If clients can choose
// it, cap it. The same holds for [MaxWaitersFunc], [TTLFunc] and [MaxHoldFunc].
func WaitFunc(fn func(*http.Request) time.Duration) Option {
	return ofRequest("WaitFunc", fn, func(of *perRequest) { of.wait = fn })
}

// MaxWaitersFunc is [MaxWaiters] as a function of the request: see [WaitFunc].
// Each request compares the number of those who wait for its key already with
// its own cap, so that one with a lower cap gives way to others.
func MaxWaitersFunc(fn func(*http.Request) int) Option {
	return ofRequest("MaxWaitersFunc", fn, func(of *perRequest) { of.maxWaiters = fn })
}

// TTLFunc is [TTL] as a function of the request: see [WaitFunc].
func TTLFunc(fn func(*http.Request) time.Duration) Option {
	return ofRequest("TTLFunc", fn, func(of *perRequest) { of.ttl = fn })
}

// MaxHoldFunc is [MaxHold] as a function of the request: see [WaitFunc]. As
// there, 0 is no bound.
func MaxHoldFunc(fn func(*http.Request) time.Duration) Option {
	return ofRequest("MaxHoldFunc", fn, func(of *perRequest) { of.maxHold = fn })
}

func ofRequest[T any](name string, fn func(*http.Request) T, set func(*perRequest)) Option {
	return option(func(o *options) {
		if set(&o.of); fn == nil {
			o.bad("%s's function is nil", name)
		}
	})
}

// terms appends the terms of r, and returns the wait among them.
func (o *options) terms(r *http.Request, to []core.AcquireOption) ([]core.AcquireOption, time.Duration) {
	wait := o.wait
	if o.of.wait != nil {
		wait = o.of.wait(r)
		to = append(to, core.Wait(wait))
	}
	if o.of.maxWaiters != nil {
		to = append(to, core.MaxWaiters(o.of.maxWaiters(r)))
	}
	if o.of.ttl != nil {
		to = append(to, core.TTL(o.of.ttl(r)))
	}
	if o.of.maxHold != nil {
		to = append(to, core.MaxHold(o.of.maxHold(r)))
	}
	return to, wait
}
