package locktest

import (
	"context"
	"errors"
	"fmt"

	"github.com/latchkey-go/latchkey/core"
)

// Shutdown refuses new acquisitions and those in line with [core.ErrClosed],
// and lets holders finish until ctx ends. Then the contexts of those who have
// not are cancelled, with a cause that matches [core.ErrLost] and ErrClosed,
// and their keys are free. It returns an error that tells how many were cut
// off, if any. Who holds by [Fake.Hold] is somebody else: not waited for, not
// cut off.
func (f *Fake) Shutdown(ctx context.Context) error {
	f.mu.Lock()
	f.closed = true
	f.refuseAll(core.ErrClosed, nil)
	f.mu.Unlock()

	err := f.await(ctx, func() bool { return len(f.own()) == 0 })
	if err == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	own := f.own()
	if len(own) == 0 {
		return nil
	}
	for _, l := range own {
		l.end(errors.Join(core.ErrLost, core.ErrClosed), core.HandoffNone)
	}
	return fmt.Errorf("locktest: %d locks were still held, and have been taken from their holders: %w", len(own), err)
}

// Close is [Fake.Shutdown] without patience. It may be called again.
func (f *Fake) Close() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return f.Shutdown(ctx)
}

// own returns the locks that were granted by Acquire. f.mu is held.
func (f *Fake) own() []*lock {
	var own []*lock
	for _, l := range f.lines {
		if !l.holder.elsewhere {
			own = append(own, l.holder)
		}
	}
	return own
}
