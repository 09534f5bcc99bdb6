package backend_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// subscriptions is a Listener with a subscription for each bucket, and what it has called.
type subscriptions struct {
	*backend.Listener
	grants chan backend.Grant
	notes  chan backend.Note

	mu    sync.Mutex
	told  map[backend.SubscriptionID][]string // "up", or why it is down
	heard map[backend.SubscriptionID]bool     // the last was "up"
	busy  chan struct{}                       // from which the handler receives with each note
	over  chan struct{}                       // closed when nobody sends to it
}

// openSubscriptions starts to listen, with no subscription open. It ends with the test.
func openSubscriptions(tb testing.TB, be *backend.Backend, p backend.Process) *subscriptions {
	const more = 10_000 // than any test makes: a handler must not block
	e := &subscriptions{
		grants: make(chan backend.Grant, more), notes: make(chan backend.Note, more),
		told: make(map[backend.SubscriptionID][]string), heard: make(map[backend.SubscriptionID]bool),
		busy: make(chan struct{}), over: make(chan struct{}),
	}
	close(e.busy)
	e.Listener = be.Listen(p, backend.Handler{
		Granted: func(g backend.Grant) { e.grants <- g },
		Broken:  func(backend.Note) {},
		Contended: func(n backend.Note) {
			e.mu.Lock()
			busy, over := e.busy, e.over
			e.mu.Unlock()
			select {
			case <-busy:
			case <-over:
			}
			e.notes <- n
		},
		Up:   func(n backend.SubscriptionID) { e.tell(n, "up", true) },
		Down: func(n backend.SubscriptionID, err error) { e.tell(n, err.Error(), false) },
	})
	tb.Cleanup(e.Close)
	return e
}

func (e *subscriptions) tell(n backend.SubscriptionID, text string, up bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.told[n] = append(e.told[n], text)
	e.heard[n] = up
}

// active tells whether all these subscriptions are up.
func (e *subscriptions) active(all ...backend.SubscriptionID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range all {
		if !e.heard[n] {
			return false
		}
	}
	return true
}

// of returns what was told of a subscription.
func (e *subscriptions) of(n backend.SubscriptionID) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.told[n]...)
}

// keepBusy has the handler be at work, from the next note on: for one note for each
// value that is sent, until the channel is closed.
func (e *subscriptions) keepBusy(tb testing.TB) chan<- struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	busy := make(chan struct{})
	e.busy, e.over = busy, make(chan struct{})
	tb.Cleanup(func() { close(e.over) })
	return busy
}

func (e *subscriptions) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.told)
}

// shut shuts a subscription, and takes note of it.
func (e *subscriptions) shut(n backend.SubscriptionID) {
	e.Shut(n)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard[n] = false
}

// up opens subscriptions and waits until all are up.
func (e *subscriptions) up(tb testing.TB, all ...backend.SubscriptionID) {
	tb.Helper()
	for _, n := range all {
		e.Open(n)
	}
	eventually(tb, "the ears are up", func() bool { return e.active(all...) })
}

// member is a process that listens: entries of it are told of grants and notes.
type member struct {
	*subscriptions
	s     *clusterStage
	name  backend.Process
	count uint64
}

// join returns a process with a subscription open for each of these keys, and up.
func (s *clusterStage) join(keys ...string) *member {
	s.Helper()
	p := backend.NewProcess()
	m := &member{subscriptions: openSubscriptions(s, s.be, p), s: s, name: p}
	m.up(s, s.subscriptions(keys)...)
	return m
}

func (s *clusterStage) subscriptions(keys []string) (all []backend.SubscriptionID) {
	for _, key := range keys {
		all = append(all, s.subscription(key))
	}
	return all
}

func (m *member) entry() backend.Entry {
	m.count++
	return backend.MakeEntry(backend.MakeID(m.name, m.count), ttl, 1, "")
}

// wantNoted has the process be told that another waits for its lease on a key.
func (m *member) wantNoted(key string) {
	m.s.Helper()
	mine, other := m.entry(), acquirer()
	held := m.s.must(backend.Granted, m.s.acquire(key, mine))
	m.s.must(backend.Waiting, m.s.acquire(key, other))
	if n := receive(m.s, m.notes); n.ID != mine.ID() || n.Key != key {
		m.s.Errorf("%+v, want a note about %s", n, key)
	}
	m.s.must(backend.Released, m.s.release(key, mine, held)) // nobody hears: it is free
}

// wantGranted has the process wait for the lease on a key, and be granted it.
func (m *member) wantGranted(key string) {
	m.s.Helper()
	other, mine := acquirer(), m.entry()
	held := m.s.must(backend.Granted, m.s.acquire(key, other))
	m.s.must(backend.Waiting, m.s.acquire(key, mine))
	m.s.must(backend.Released, m.s.release(key, other, held))
	g := receive(m.s, m.grants)
	if g.ID != mine.ID() || g.Key != key {
		m.s.Errorf("%+v, want a grant of %s", g, key)
	}
	m.s.must(backend.Released, backend.Release(m.s.be.Names(key), mine.ID(), g.Tokens.First, g.Tokens.Last, ""))
}

// connections is how many connections with subscriptions a node has.
func (s *clusterStage) connections(n *locktest.Redis) int {
	s.Helper()
	list := ok(s.node(n).Do(s.Context(), "CLIENT", "LIST", "TYPE", "pubsub").Text())(s)
	return strings.Count(list, "\n")
}

// subscribers is how many subscriptions to a process's channel for a key a node
// has.
func (s *clusterStage) subscribers(n *locktest.Redis, m *member, key string) int64 {
	s.Helper()
	name := s.be.ChannelOf(s.subscription(key), m.name)
	return ok(s.node(n).PubSubShardNumSub(s.Context(), name).Result())(s)[name]
}

// wantTold fails the test unless this is what the process was told of a key's subscription:
// "up", or "down" for whatever it was told between two ups.
func (m *member) wantTold(key string, want ...string) {
	m.s.Helper()
	var told []string
	for _, text := range m.of(m.s.subscription(key)) {
		if text != "up" {
			text = "down"
		}
		if n := len(told); text == "up" || n == 0 || told[n-1] == "up" {
			told = append(told, text)
		}
	}
	if !slices.Equal(told, want) {
		m.s.Errorf("%s: told %q, want %q", key, m.of(m.s.subscription(key)), want)
	}
}
