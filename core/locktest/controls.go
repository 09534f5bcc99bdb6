package locktest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/core"
)

// Hold makes key held by somebody else, in another process as it were, until
// release is called; calling it again does nothing. The options describe the
// holder: core.WithMeta who it is, core.TTL what RetryAfter is made of,
// core.MaxHold an end.
//
// Hold does not wait and is not hindered by FailBackend or Close. It panics if
// the key is held, since the test is then not what its author thinks, and if
// an option is out of range.
func (f *Fake) Hold(key string, opts ...core.AcquireOption) (release func()) {
	settings, err := core.DefaultSettings().With(opts...)
	if err != nil {
		panic(fmt.Sprintf("locktest: Hold(%q): %v", key, err))
	}
	w := &waiter{
		ctx: context.Background(), key: key, settings: settings,
		asked: time.Now(), ready: make(chan struct{}),
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lines[key] != nil {
		panic(fmt.Sprintf("locktest: Hold(%q): the key is held already", key))
	}
	f.grant(w, nil, core.HandoffNone)
	w.lock.elsewhere = true
	return sync.OnceFunc(func() { _ = w.lock.Release(context.Background()) })
}

// Lose takes the lease of key's holder away, as when it could not be renewed in
// time: the holder's context is cancelled with cause [core.ErrLost], its
// Release will return ErrLost, and the next in line is granted. It returns
// false if nobody holds key.
func (f *Fake) Lose(key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.lines[key]
	if l == nil {
		return false
	}
	l.holder.end(core.ErrLost, core.HandoffNone)
	return true
}

// Break does to key's holder what an operator's forced release does: its
// context is cancelled with cause [core.ErrBroken], and nobody else gets the
// key before the holder's own Release or the end of its TTL. It returns false
// if nobody holds key.
func (f *Fake) Break(key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.lines[key]
	if l == nil {
		return false
	}
	l.holder.lapse(core.ErrBroken)
	return true
}

// FailBackend makes every acquisition, those in line included, fail with an
// error that matches both [core.ErrBackend] and err, until FailBackend(nil).
// Holders keep their locks and can release them; see [Fake.Lose].
func (f *Fake) FailBackend(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.backend = err
	if err != nil {
		f.refuseAll(core.ErrBackend, err)
	}
}

// Held tells whether somebody holds key.
func (f *Fake) Held(key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lines[key] != nil
}

// Waiting returns how many acquisitions are in line for key. One counts as soon as
// its observer has heard that it waits.
func (f *Fake) Waiting(key string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.waiting(key)
}

func (f *Fake) waiting(key string) int {
	n := 0
	if l := f.lines[key]; l != nil {
		for _, w := range l.waiters {
			if w.told {
				n++
			}
		}
	}
	return n
}

// AwaitWaiting returns nil as soon as at least n acquisitions are in line for
// key: the way to order events in a test that starts requests in goroutines
// without a testing/synctest bubble. It returns ctx's cause if ctx ends first.
func (f *Fake) AwaitWaiting(ctx context.Context, key string, n int) error {
	return f.await(ctx, func() bool { return f.waiting(key) >= n })
}

// AwaitFree returns nil as soon as nobody holds key, and ctx's cause if ctx
// ends first. A guard may release after its caller has got an answer.
func (f *Fake) AwaitFree(ctx context.Context, key string) error {
	return f.await(ctx, func() bool { return f.lines[key] == nil })
}

// await returns nil as soon as is, called with f.mu held, is true.
func (f *Fake) await(ctx context.Context, is func() bool) error {
	for {
		f.mu.Lock()
		if is() {
			f.mu.Unlock()
			return nil
		}
		if f.changed == nil {
			f.changed = make(chan struct{})
		}
		changed := f.changed
		f.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
