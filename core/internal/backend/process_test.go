package backend_test

import (
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// process is one Locker's part: entries, and a subscription on its channel.
type process struct {
	s     *stage
	name  backend.Process
	count uint64
	sub   *redis.PubSub // nil if it does not listen
	inbox chan string   // what sub has received
}

// newProcess returns a process that does not listen.
func newProcess(s *stage) *process { return &process{s: s, name: backend.NewProcess()} }

// newListening returns a process that does.
func newListening(s *stage) *process {
	s.Helper()
	p := newProcess(s)
	p.listen()
	return p
}

func (p *process) channel() string { return p.s.be.Channel(p.name) }

func (p *process) listen() {
	p.s.Helper()
	sub := p.s.rdb.Subscribe(p.s.Context(), p.channel())
	p.s.Cleanup(func() { _ = sub.Close() }) // ErrClosed if it was closed before
	if _, err := sub.Receive(p.s.Context()); err != nil {
		p.s.Fatal(err)
	}
	inbox := make(chan string, 1000)
	p.sub, p.inbox = sub, inbox
	// At once, not when it is asked for: miniredis writes into a pipe, and
	// stands still until somebody reads.
	go func() {
		for {
			m, err := sub.ReceiveMessage(context.Background())
			if err != nil {
				return
			}
			inbox <- m.Payload
		}
	}()
}

// entry returns a new entry of the process.
func (p *process) entry(meta string) backend.Entry { return p.entryFor(ttl, meta) }

func (p *process) entryFor(ttl time.Duration, meta string) backend.Entry {
	p.count++
	return backend.MakeEntry(backend.MakeID(p.name, p.count), ttl, 1, meta)
}

// heard returns the messages to the process since it was last asked.
func (p *process) heard() []string {
	p.s.Helper()
	const end = "end"
	// What was published before it is delivered before it.
	if n := ok(p.s.rdb.Publish(p.s.Context(), p.channel(), end).Result())(p.s); n != 1 {
		p.s.Fatalf("%d subscribers, want 1", n)
	}
	var messages []string
	for {
		m := receive(p.s, p.inbox)
		if m == end {
			return messages
		}
		messages = append(messages, m)
	}
}

// wantHeard fails the test unless exactly these messages came.
func (p *process) wantHeard(want ...string) {
	p.s.Helper()
	if got := p.heard(); !slices.Equal(got, want) {
		p.s.Errorf("heard\n%q, want\n%q", got, want)
	}
}

// note is the message that another waits for e's lease.
func (s *stage) note(e backend.Entry) string { return "note\n" + string(e.ID()) + "\n" + s.lease }
