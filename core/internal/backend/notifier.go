package backend

import "sync"

// notifier tells of servers that begin and cease to count as down. Whoever listens
// runs code that is not ours, so it is told by a goroutine that holds no lock and
// carries no operations, in the order of the changes. That goroutine ends when there
// is nothing more to tell; Close waits for it.
type notifier struct {
	mu       sync.Mutex
	watchers []func(node string, down error)
	pending  []change
	telling  bool
}

// change is a server that counts as down for that reason, or has answered again.
type change struct {
	node string
	down error
}

// WatchHealth has f told, one change after another, when a server begins to count as
// down, with a *DownError, and when it has answered again, with nil.
func (be *Backend) WatchHealth(f func(node string, down error)) {
	be.notifier.mu.Lock()
	defer be.notifier.mu.Unlock()
	be.notifier.watchers = append(be.notifier.watchers, f)
}

// healthChanged tells whoever watches whether the batcher's server counts as down; down
// is nil if it does not. The caller holds mu.
func (bt *batcher) healthChanged(down *DownError) {
	if bt.health.told == (down != nil) {
		return
	}
	bt.health.told = down != nil
	c := change{node: bt.node}
	if down != nil {
		c.down = down
	}
	bt.backend.notify(c)
}

func (be *Backend) notify(c change) {
	b := &be.notifier
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.watchers) == 0 {
		return
	}
	b.pending = append(b.pending, c)
	if b.telling {
		return
	}
	b.telling = true
	be.Aside(func() {
		for be.notifyNext() {
		}
	})
}

// notifyNext tells of one change, and returns whether there was one.
func (be *Backend) notifyNext() bool {
	b := &be.notifier
	b.mu.Lock()
	if len(b.pending) == 0 {
		b.telling = false
		b.mu.Unlock()
		return false
	}
	c, watchers := b.pending[0], b.watchers
	b.pending = b.pending[1:]
	b.mu.Unlock()
	for _, f := range watchers {
		be.panics.Run("an observer", func() { f(c.node, c.down) })
	}
	return true
}
