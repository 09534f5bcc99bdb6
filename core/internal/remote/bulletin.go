package remote

import "sync"

// bulletin tells of servers that begin and cease to count as down. Whoever listens
// runs code that is not ours, so it is told by a goroutine that holds no lock and
// carries no operations, in the order of the changes. That goroutine ends when there
// is nothing more to tell; Close waits for it.
type bulletin struct {
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
func (r *Room) WatchHealth(f func(node string, down error)) {
	r.bulletin.mu.Lock()
	defer r.bulletin.mu.Unlock()
	r.bulletin.watchers = append(r.bulletin.watchers, f)
}

// healthChanged tells whoever watches whether the lane's server counts as down; down
// is nil if it does not. The caller holds mu.
func (l *lane) healthChanged(down *DownError) {
	if l.health.told == (down != nil) {
		return
	}
	l.health.told = down != nil
	c := change{node: l.node}
	if down != nil {
		c.down = down
	}
	l.room.announce(c)
}

func (r *Room) announce(c change) {
	b := &r.bulletin
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
	r.Aside(func() {
		for r.tellNext() {
		}
	})
}

// tellNext tells of one change, and returns whether there was one.
func (r *Room) tellNext() bool {
	b := &r.bulletin
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
		r.panics.Run("an observer", func() { f(c.node, c.down) })
	}
	return true
}
