package locktest

import (
	"sync"

	"github.com/latchkey-go/latchkey/core"
)

// Fake is a [core.Locker] in memory: mutual exclusion per key, first come
// first served, rising fencing tokens and every error of the real one, without
// a Redis. Its other methods are a test's controls. A Fake is safe for
// concurrent use; it starts no goroutine and, inside a testing/synctest
// bubble, everything that waits on it is durably blocked.
//
// What it leaves out: leases are never lost by themselves (call [Fake.Lose]),
// answers are never late, and two Fakes know nothing of each other.
type Fake struct {
	defaults []core.AcquireOption

	// mu is only ever held for bookkeeping; whoever waits, waits on a channel.
	mu      sync.Mutex
	lines   map[string]*line
	token   uint64
	backend error
	closed  bool
	changed chan struct{} // closed at the next change; nil if nobody listens
}

var _ core.Locker = (*Fake)(nil)

// line is one key: its holder and who waits for it, the first in front. It
// exists while the key is held.
type line struct {
	holder  *lock
	waiters []*waiter
}

// New returns a Fake on which every key is free. The options are the defaults
// of its acquisitions, over [core.DefaultSettings]; one that is out of range
// makes every Acquire fail with [core.ErrOption].
func New(opts ...core.AcquireOption) *Fake {
	return &Fake{defaults: opts, lines: make(map[string]*line)}
}

// Namespace is what observers are told: "locktest".
func (f *Fake) Namespace() string { return "locktest" }

// nextToken returns a token above all earlier ones. One counter serves all
// keys, as in the real Locker: a test that relies on one key's tokens being
// consecutive fails here as it would there. f.mu is held.
func (f *Fake) nextToken() uint64 {
	f.token++
	return f.token
}

// notify wakes the listeners of await. f.mu is held.
func (f *Fake) notify() {
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}
