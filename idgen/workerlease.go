package idgen

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// workerLease keeps a [Snowflake] in times that it may use. One goroutine talks
// to Redis; callers that have run out wait for what it brings.
type workerLease struct {
	of    *Snowflake
	owner string

	next    atomic.Pointer[renewal] // the call of Redis that is under way, or comes next
	wanted  chan struct{}           // somebody waits for it
	closing chan struct{}
	stop    context.CancelFunc
	done    chan struct{} // run has ended, with
	err     error

	mu     sync.Mutex // for putting a window in place
	closed bool

	// The rest belongs to run.
	worker  int64         // the number that is ours to extend, or -1
	base    int64         // and its base, in ms since 1970
	waiting *workerWindow // with that number, until its base is passed
	lost    error         // the lease before that, if no other is in use yet
	highest int64         // the highest ceiling or base we know, in ms since 1970
	failed  int           // renewals in a row
}

// renewal is one call of Redis, which all callers that have run out share.
type renewal struct {
	note error         // why one may have to wait for it, or nil
	done chan struct{} // closed at its end
	err  error         // valid after done
}

func newWorkerLease(s *Snowflake) *workerLease {
	l := &workerLease{
		of:      s,
		owner:   rand.Text(),
		wanted:  make(chan struct{}, 1),
		closing: make(chan struct{}),
		done:    make(chan struct{}),
		worker:  -1,
	}
	l.next.Store(&renewal{done: make(chan struct{})})
	return l
}

func (l *workerLease) start() {
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	go l.run(ctx)
}

// nextRenewal returns the one whose end may bring more.
func (l *workerLease) nextRenewal() *renewal { return l.next.Load() }

// await waits for a renewal that was returned by nextRenewal before it was found that
// there is no more. It returns nil when it is worth trying again.
func (l *workerLease) await(ctx context.Context, v *renewal) error {
	if l.isClosed() {
		return ErrClosed
	}
	select {
	case l.wanted <- struct{}{}:
	default: // somebody else was here
	}
	select {
	case <-v.done:
		return v.err
	case <-l.closing:
		return ErrClosed
	case <-ctx.Done():
		err := ended(ctx)
		if v.note != nil {
			return fmt.Errorf("%w: %w: %w", ErrWindowExhausted, v.note, err)
		}
		return fmt.Errorf("%w: waiting for Redis: %w", ErrWindowExhausted, err)
	}
}

func (l *workerLease) isClosed() bool {
	select {
	case <-l.closing:
		return true
	default:
		return false
	}
}

// run calls Redis until ctx ends, and then gives the number back.
func (l *workerLease) run(ctx context.Context) {
	defer close(l.done)
	for l.pause(ctx, l.renew(ctx)) {
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWait)
	defer cancel()
	l.err = l.of.returnLease(ctx, l.owner)
}

// pace says when the next renewal is made: after due, or after soonest if somebody
// waits for it.
type pace struct{ soonest, due time.Duration }

func (l *workerLease) pause(ctx context.Context, p pace) bool {
	timer := time.NewTimer(p.soonest)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return false
	}
	timer.Reset(p.due - p.soonest)
	select {
	case <-timer.C:
	case <-l.wanted:
	case <-ctx.Done():
		return false
	}
	return true
}

// renew calls Redis, applies what it says and tells those who wait.
func (l *workerLease) renew(ctx context.Context) pace {
	window := l.of.options.window
	calling, cancel := context.WithTimeout(ctx, l.of.options.ttl())
	defer cancel()
	r, err := l.of.askLease(calling, leaseCall{owner: l.owner, worker: l.worker, base: l.base, floor: l.highest})
	var wait time.Duration
	if err == nil {
		wait, err = l.apply(r)
	}
	var p pace
	var note error
	switch {
	case err != nil:
		if l.lost != nil {
			err = fmt.Errorf("%w: %w", l.lost, err)
		}
		if errors.Is(err, ErrBackend) {
			err = fmt.Errorf("%w: %w", ErrWindowExhausted, err)
		}
		note = err
		p = pace{soonest: window / 30, due: min(window/30<<min(l.failed, 4), window/3)}
		l.failed++
	case l.waiting != nil:
		note = fmt.Errorf("worker number %d can be used in %v", l.worker, wait)
		if l.lost != nil {
			note = fmt.Errorf("%w: %w", l.lost, note)
		}
		wait = min(wait, window/3) // the lease must be extended meanwhile
		p = pace{soonest: wait, due: wait}
		l.failed = 0
	default:
		p = pace{soonest: min(window/100, soonest), due: window / 3}
		l.failed = 0
	}
	ended := l.next.Swap(&renewal{note: note, done: make(chan struct{})})
	ended.err = err
	close(ended.done)
	return p
}

// apply acts on an answer. It returns how long a number that is taken must wait.
func (l *workerLease) apply(r leaseReply) (wait time.Duration, err error) {
	s := l.of
	o := &s.options
	s.offset.Store(int64(r.now.Sub(o.epoch) - s.elapsed()))
	switch r.status {
	case leaseLayout:
		return 0, fmt.Errorf("%w: %s: ours is %q, in use is %q", ErrLayoutMismatch, o.key(), o.layout(), r.layout)
	case leaseNone:
		l.lose()
		return 0, &NoWorkerError{Name: o.name, Taken: int(r.worker), Until: r.time}
	case leaseTaken:
		l.lose()
	case leaseExtended:
	default:
		return 0, fmt.Errorf("%w: %s: an answer that is not known: %q", ErrBackend, o.key(), r.status)
	}
	// A ceiling is at most a window from now, and a base a skew behind that.
	// What is far beyond was written when the clock of Redis was ahead.
	wait = r.time.Add(-o.window).Sub(r.now)
	milli := r.time.Sub(o.epoch).Milliseconds()
	switch {
	case milli <= 0:
		return 0, fmt.Errorf("%w: Redis says %v, the epoch is %v", ErrClock, r.now.UTC(), o.epoch.UTC())
	case wait > o.skew+o.ttl():
		return 0, fmt.Errorf("%w: Redis says %v, but IDs are made for times up to %v: its clock was ahead, or is behind",
			ErrClock, r.now.UTC(), r.time.UTC())
	}
	l.highest = max(l.highest, r.time.UnixMilli())
	word := uint64(min(milli, 1<<timeBits)) << s.sequenceBits
	if r.status == leaseTaken {
		l.worker, l.base = r.worker, r.time.UnixMilli()
		l.waiting = newWindow(uint64(r.worker), word, s.sequenceBits)
	}
	t := l.waiting
	if t == nil {
		t = s.window.Load()
	}
	t.raise(word)
	if t.room(0) > 0 {
		l.put(t)
		l.waiting, l.lost = nil, nil
	}
	if milli >= 1<<timeBits && t.room(s.tick()) == 0 {
		return 0, fmt.Errorf("%w: Redis says %v, the epoch is %v", ErrTimeExhausted, r.now.UTC(), o.epoch.UTC())
	}
	return max(wait, 0) + beyond, nil
}

// soonest is how long the next renewal waits for more callers, at the most.
const soonest = 30 * time.Millisecond

// beyond is how long after a base a ceiling is asked for: so many milliseconds of
// IDs the first one brings.
const beyond = 2 * time.Millisecond

// lose forgets the number that was ours to extend.
func (l *workerLease) lose() {
	if l.worker >= 0 {
		l.lost = fmt.Errorf("%w: number %d", ErrLeaseLost, l.worker)
	}
	l.worker, l.waiting = -1, nil
}

// put lets callers use t. The words of the window before are all below t's base,
// and it gives out no more of them: IDs go on rising.
func (l *workerLease) put(t *workerWindow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if before := l.of.window.Load(); before != t && !l.closed {
		before.seal()
		l.of.window.Store(t)
	}
}

// close ends run, and waits for it as [Snowflake.Close] says.
func (l *workerLease) close() error {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.closing)
		l.of.window.Load().seal()
		l.stop()
	}
	l.mu.Unlock()
	timer := time.NewTimer(2 * closeWait) // run itself waits for one
	defer timer.Stop()
	select {
	case <-l.done:
		return l.err
	case <-timer.C:
		return fmt.Errorf("%w: a call is still under way %v after Close", ErrBackend, 2*closeWait)
	}
}
