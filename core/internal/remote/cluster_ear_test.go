package remote_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/latchkey-go/latchkey/core/internal/remote"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// ears is a Listener with an ear for each bucket, and what it has called.
type ears struct {
	*remote.Listener
	grants chan remote.Grant
	notes  chan remote.Note

	mu    sync.Mutex
	told  map[remote.Ear][]string // "up", or why it is down
	heard map[remote.Ear]bool     // the last was "up"
	busy  chan struct{}           // from which the handler receives with each note
	over  chan struct{}           // closed when nobody sends to it
}

// openEars starts to listen, with no ear open. It ends with the test.
func openEars(tb testing.TB, room *remote.Room, p remote.Process) *ears {
	const more = 10_000 // than any test makes: a handler must not block
	e := &ears{
		grants: make(chan remote.Grant, more), notes: make(chan remote.Note, more),
		told: make(map[remote.Ear][]string), heard: make(map[remote.Ear]bool),
		busy: make(chan struct{}), over: make(chan struct{}),
	}
	close(e.busy)
	e.Listener = room.Listen(p, remote.Handler{
		Granted: func(g remote.Grant) { e.grants <- g },
		Broken:  func(remote.Note) {},
		Contended: func(n remote.Note) {
			e.mu.Lock()
			busy, over := e.busy, e.over
			e.mu.Unlock()
			select {
			case <-busy:
			case <-over:
			}
			e.notes <- n
		},
		Up:   func(n remote.Ear) { e.tell(n, "up", true) },
		Down: func(n remote.Ear, err error) { e.tell(n, err.Error(), false) },
	})
	tb.Cleanup(e.Close)
	return e
}

func (e *ears) tell(n remote.Ear, text string, up bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.told[n] = append(e.told[n], text)
	e.heard[n] = up
}

// hears tells whether all these ears are up.
func (e *ears) hears(all ...remote.Ear) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range all {
		if !e.heard[n] {
			return false
		}
	}
	return true
}

// of returns what was told of an ear.
func (e *ears) of(n remote.Ear) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.told[n]...)
}

// keepBusy has the handler be at work, from the next note on: for one note for each
// value that is sent, until the channel is closed.
func (e *ears) keepBusy(tb testing.TB) chan<- struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	busy := make(chan struct{})
	e.busy, e.over = busy, make(chan struct{})
	tb.Cleanup(func() { close(e.over) })
	return busy
}

func (e *ears) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.told)
}

// shut shuts an ear, and takes note of it.
func (e *ears) shut(n remote.Ear) {
	e.Shut(n)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard[n] = false
}

// up opens ears and waits until all are up.
func (e *ears) up(tb testing.TB, all ...remote.Ear) {
	tb.Helper()
	for _, n := range all {
		e.Open(n)
	}
	eventually(tb, "the ears are up", func() bool { return e.hears(all...) })
}

// member is a process that listens: entries of it are told of grants and notes.
type member struct {
	*ears
	s     *clusterStage
	name  remote.Process
	count uint64
}

// join returns a process with an ear open for each of these keys, and up.
func (s *clusterStage) join(keys ...string) *member {
	s.Helper()
	p := remote.NewProcess()
	m := &member{ears: openEars(s, s.room, p), s: s, name: p}
	m.up(s, s.ears(keys)...)
	return m
}

func (s *clusterStage) ears(keys []string) (all []remote.Ear) {
	for _, key := range keys {
		all = append(all, s.ear(key))
	}
	return all
}

func (m *member) entry() remote.Entry {
	m.count++
	return remote.MakeEntry(remote.MakeID(m.name, m.count), ttl, 1, "")
}

// wantNoted has the process be told that another waits for its lease on a key.
func (m *member) wantNoted(key string) {
	m.s.Helper()
	mine, other := m.entry(), acquirer()
	held := m.s.must(remote.Granted, m.s.acquire(key, mine))
	m.s.must(remote.Waiting, m.s.acquire(key, other))
	if n := receive(m.s, m.notes); n.ID != mine.ID() || n.Key != key {
		m.s.Errorf("%+v, want a note about %s", n, key)
	}
	m.s.must(remote.Released, m.s.release(key, mine, held)) // nobody hears: it is free
}

// wantGranted has the process wait for the lease on a key, and be granted it.
func (m *member) wantGranted(key string) {
	m.s.Helper()
	other, mine := acquirer(), m.entry()
	held := m.s.must(remote.Granted, m.s.acquire(key, other))
	m.s.must(remote.Waiting, m.s.acquire(key, mine))
	m.s.must(remote.Released, m.s.release(key, other, held))
	g := receive(m.s, m.grants)
	if g.ID != mine.ID() || g.Key != key {
		m.s.Errorf("%+v, want a grant of %s", g, key)
	}
	m.s.must(remote.Released, remote.Release(m.s.room.Names(key), mine.ID(), g.Block.First, g.Block.Last, ""))
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
	name := s.room.ChannelOf(s.ear(key), m.name)
	return ok(s.node(n).PubSubShardNumSub(s.Context(), name).Result())(s)[name]
}

// wantTold fails the test unless this is what the process was told of a key's ear:
// "up", or "down" for whatever it was told between two ups.
func (m *member) wantTold(key string, want ...string) {
	m.s.Helper()
	var told []string
	for _, text := range m.of(m.s.ear(key)) {
		if text != "up" {
			text = "down"
		}
		if n := len(told); text == "up" || n == 0 || told[n-1] == "up" {
			told = append(told, text)
		}
	}
	if !slices.Equal(told, want) {
		m.s.Errorf("%s: told %q, want %q", key, m.of(m.s.ear(key)), want)
	}
}
