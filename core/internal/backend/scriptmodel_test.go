package backend_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/internal/scriptmodel"
)

var (
	modelSeed = flag.Uint64("model.seed", 0, "seed of the operations on the model of the script; 0 for the fixed one")
	modelOps  = flag.Int("model.ops", 5_000, "operations on the model and on miniredis; a tenth as many on a real server")
)

// The model of the script, which stands for it where all states are explored, gives
// the same replies and messages, and has the same in Redis, whatever is done.
func TestTheScriptAndItsModelAgree(t *testing.T) {
	seed := uint64(20261130)
	if *modelSeed != 0 {
		seed = *modelSeed
	}
	onBoth(t, func(s *stage) {
		d := &duet{stage: s, Rand: rand.New(rand.NewPCG(seed, 1)), now: time.Now().Truncate(time.Millisecond)}
		d.sub = s.rdb.Subscribe(s.Context(), "none")
		t.Cleanup(func() { _ = d.sub.Close() })
		d.inbox = make(chan any, 1000)
		go func() { // at once: miniredis stands still until somebody reads
			for {
				m, err := d.sub.Receive(context.Background())
				if err != nil {
					return
				}
				d.inbox <- m
			}
		}()
		for range modelProcesses {
			d.names = append(d.names, backend.NewProcess())
			d.listens = append(d.listens, false)
		}
		n := *modelOps
		if s.real != nil {
			n /= 10
		}
		for done := 0; done < n && !s.Failed(); {
			d.happens()
			done += d.call()
		}
		s.Logf("-model.seed %d, %d calls", seed, d.calls)
	})
}

const modelProcesses = 4

// duet is the script and its model, doing the same.
type duet struct {
	*stage
	*rand.Rand
	names   []backend.Process
	listens []bool
	sub     *redis.PubSub // of all that listen
	inbox   chan any      // what it brings
	key     scriptmodel.Key
	now     time.Time // miniredis's
	calls   int
	last    []string // what was done
}

// happens is what is not done by the script.
func (d *duet) happens() {
	switch n := d.IntN(100); {
	case n < 20:
		d.turn(uint8(d.IntN(modelProcesses)))
	case n < 35: // a lease ends; on a real server, whose time nobody has, it is deleted
		d.last = append(d.last, "the lease expires")
		if d.mini != nil {
			d.pass(d.key.Lease.Left)
			return
		}
		d.rdb.Del(d.Context(), d.lease)
		d.key.Lease = scriptmodel.Lease{}
	case n < 70 && d.mini != nil:
		d.pass(time.Duration(d.IntN(5000)) * time.Millisecond)
	case n < 71:
		d.last = append(d.last, "scripts are forgotten")
		d.rdb.ScriptFlush(d.Context())
	case n < 72:
		d.last = append(d.last, "data are lost")
		d.rdb.FlushAll(d.Context())
		d.key = scriptmodel.Key{}
	}
}

// pass lets time pass for miniredis.
func (d *duet) pass(by time.Duration) {
	d.last = append(d.last, fmt.Sprint(by, " pass"))
	d.now = d.now.Add(by)
	d.mini.SetTime(d.now)
	d.key.Advance(by)
}

// turn has a process begin or cease to listen.
func (d *duet) turn(p uint8) {
	d.listens[p] = !d.listens[p]
	d.last = append(d.last, fmt.Sprint(p, " listens: ", d.listens[p]))
	change := d.sub.Subscribe
	if !d.listens[p] {
		change = d.sub.Unsubscribe
	}
	if err := change(d.Context(), d.be.Channel(d.names[p])); err != nil {
		d.Fatal(err)
	}
	for {
		if s, ok := receive(d, d.inbox).(*redis.Subscription); ok && s.Channel == d.be.Channel(d.names[p]) {
			return
		}
	}
}

// call does some operations at once.
func (d *duet) call() int {
	if d.mini != nil {
		d.mini.SetTime(d.now)
	}
	switch left := d.pttl(d.queue); {
	case len(d.key.Queue) == 0:
	case left <= 0 || left > time.Minute || d.mini != nil && left != d.key.QueueLeft:
		d.fault("the queue expires in %v, the model's in %v", left, d.key.QueueLeft)
	}
	// First what it is like: that tells the server's time, too.
	ops := []backend.Op{backend.Inspect(d.stage.names, 1000)}
	var models []func(*scriptmodel.Server) scriptmodel.Reply
	n := 1
	if d.IntN(2) == 0 {
		n += d.IntN(64)
	}
	// What is done next goes by what is there now. So it is the model that is a step ahead.
	server := &scriptmodel.Server{Now: uint64(d.now.UnixMicro()), Listens: func(p uint8) bool { return d.listens[p] }}
	ahead := d.key.Clone()
	for range n {
		op, do := d.op(&ahead)
		ops, models = append(ops, op), append(models, do)
		before := d.key
		d.key = ahead
		_ = do(server)
		ahead, d.key = d.key, before
	}
	ctx, cancel := context.WithTimeout(d.Context(), patience)
	defer cancel()
	answers, err := d.be.RoundTrip(ctx, ops...)
	if err != nil {
		d.Fatal(err)
	}
	d.calls++
	found := answers[0].Reply
	d.is(found)
	server = &scriptmodel.Server{Now: uint64(found.Found.Now.UnixMicro()), Listens: server.Listens}
	for i, do := range models {
		got, want := answers[i+1], do(server)
		if got.Err != nil {
			d.Fatal(got.Err)
		}
		if g, w := d.show(got.Reply), d.shown(want); g != w {
			d.fault("%d: %s\n  but the model %s", i, g, w)
			return n
		}
	}
	d.hear(server.Messages)
	return n
}

func (d *duet) fault(format string, args ...any) {
	d.Helper()
	d.Errorf("%s\nafter:\n%s", fmt.Sprintf(format, args...), strings.Join(d.last[max(0, len(d.last)-80):], "\n"))
}

// entry is one of few entries of a process.
func (d *duet) entry() scriptmodel.Entry {
	n := d.IntN(3)
	return scriptmodel.Entry{
		ID:  scriptmodel.ID{Process: uint8(d.IntN(modelProcesses)), Number: uint32(n)},
		TTL: time.Duration(1+n) * 100 * time.Second, Tokens: 1 + 2*n, Meta: fmt.Sprint("m", n),
	}
}

// op is an operation, for the script and for the model.
func (d *duet) op(k *scriptmodel.Key) (backend.Op, func(*scriptmodel.Server) scriptmodel.Reply) {
	names, e := d.stage.names, d.entry()
	switch {
	case d.IntN(3) == 0 && k.Lease.Held:
		e.ID, e.TTL, e.Tokens = k.Lease.ID, k.Lease.TTL, k.Lease.Tokens
		e.Meta = fmt.Sprint("m", e.Number)
	case d.IntN(3) == 0 && len(k.Queue) > 0:
		e = k.Queue[d.IntN(len(k.Queue))].Entry
	}
	log := func(format string, args ...any) { d.last = append(d.last, fmt.Sprintf(format, args...)) }
	switch n := d.IntN(100); {
	case n < 50:
		limit := d.IntN(6)
		log("acquire %v, limit %d", e, limit)
		return backend.Acquire(names, d.wire(e), limit > 0, max(1, limit)),
			func(s *scriptmodel.Server) scriptmodel.Reply { return s.Acquire(&d.key, e, limit) }
	case n < 70:
		var next *scriptmodel.Entry
		var wire backend.Entry
		if other := d.entry(); d.IntN(2) == 0 && other.ID != e.ID && other.ID != k.Lease.ID {
			next, wire = &other, d.wire(other)
		}
		reserved := k.Fence + uint64(d.IntN(2))
		used := max(1, reserved-min(reserved, uint64(d.IntN(4))))
		if used >= reserved {
			used, reserved = 0, 0
		}
		op := backend.Release(names, d.wire(e).ID(), used, reserved, wire)
		var from *string
		if d.IntN(4) == 0 {
			text := "the last holder"
			from, op = &text, op.From(text)
		}
		log("release %v, tokens %d of %d, then %v, from %v", e.ID, used, reserved, next, from != nil)
		return op, func(s *scriptmodel.Server) scriptmodel.Reply {
			return s.Release(&d.key, e.ID, used, reserved, next, from)
		}
	case n < 82:
		var refreshed *scriptmodel.Entry
		var wire backend.Entry
		if d.IntN(2) == 0 {
			other := e
			other.Tokens, other.Meta = 1, "refreshed"
			refreshed, wire = &other, d.wire(other)
		}
		tokens := d.IntN(4)
		log("renew %v, refreshed %v, %d tokens", e, refreshed != nil, tokens)
		return backend.Renew(names, d.wire(e), wire, tokens),
			func(s *scriptmodel.Server) scriptmodel.Reply { return s.Renew(&d.key, e, refreshed, tokens) }
	case n < 95:
		log("cancel %v", e)
		return backend.Cancel(names, d.wire(e)), func(s *scriptmodel.Server) scriptmodel.Reply { return s.Cancel(&d.key, e) }
	default:
		atOnce := d.IntN(2) == 0
		log("break %v, at once %v", e.ID, atOnce)
		return backend.Break(names, d.wire(e).ID(), atOnce),
			func(s *scriptmodel.Server) scriptmodel.Reply { return s.Break(&d.key, e.ID, atOnce) }
	}
}

func (d *duet) wire(e scriptmodel.Entry) backend.Entry {
	return backend.MakeEntry(backend.MakeID(d.names[e.Process], uint64(e.Number)), e.TTL, e.Tokens, e.Meta)
}

// text is a lease as it stands in Redis.
func (d *duet) text(l scriptmodel.Lease) string {
	if !l.Held {
		return ""
	}
	text := []byte(d.wire(l.Entry))
	if l.Contended {
		text[0] = '1'
	}
	if l.Broken {
		text[1] = 'b'
	}
	return string(text)
}

// show is a reply as text, but for what remains of a lease on a real server, whose time
// goes on.
func (d *duet) show(r backend.Reply) string {
	text := fmt.Sprintf("%v %v ticket %d position %d heard %v queued %d owner %q", r.Status, r.Tokens, r.Ticket, r.Position, r.Heard, r.Queued, r.Owner)
	if d.mini != nil && r.Owner != "" {
		text += fmt.Sprint(" for ", r.TTL)
	}
	if r.Requeued != nil {
		text += "; requeued " + d.show(*r.Requeued)
	}
	return text
}

// shown is show for the model.
func (d *duet) shown(r scriptmodel.Reply) string {
	text := fmt.Sprintf("%v %v ticket %d position %d heard %v queued %d owner %q", backend.Status(r.Status), r.Tokens, r.Ticket, r.Position, r.Heard, r.Queued, d.text(r.Owner))
	if d.mini != nil && r.Owner.Held {
		text += fmt.Sprint(" for ", r.Owner.Left)
	}
	if r.Requeued != nil {
		text += "; requeued " + d.shown(*r.Requeued)
	}
	return text
}

// is compares what is in Redis with the model.
func (d *duet) is(r backend.Reply) {
	d.Helper()
	if got, want := string(r.Owner), d.text(d.key.Lease); got != want {
		d.fault("the lease is %q\n  but the model's %q", got, want)
	}
	if left := d.key.Lease.Left; r.Owner != "" && (r.TTL <= 0 || r.TTL > left || d.mini != nil && r.TTL != left) {
		d.fault("the lease expires in %v, the model's in %v", r.TTL, left)
	}
	if r.Found.Token != d.key.Fence {
		d.fault("the last token is %d, the model's %d", r.Found.Token, d.key.Fence)
	}
	var got, want []string
	for _, p := range r.Found.Line {
		got = append(got, fmt.Sprint(p.Entry, " ", p.Since.UnixMicro()))
	}
	for _, p := range d.key.Queue {
		want = append(want, fmt.Sprint(d.wire(p.Entry), " ", p.Ticket))
	}
	if !slices.Equal(got, want) {
		d.fault("the queue is %q\n  but the model's %q", got, want)
	}
}

// hear compares the messages to those that listen.
func (d *duet) hear(messages []scriptmodel.Message) {
	d.Helper()
	for _, m := range messages {
		if !d.listens[m.ID.Process] {
			continue
		}
		id := backend.MakeID(d.names[m.ID.Process], uint64(m.ID.Number))
		want := fmt.Sprintf("%s\n%s\n%s", map[scriptmodel.MessageKind]string{scriptmodel.Contended: "note", scriptmodel.Stop: "broken"}[m.Kind], id, d.lease)
		if m.Kind == scriptmodel.Grant {
			want = fmt.Sprintf("grant\n%d\n%d\n%d\n%d\n%s\n%s\n%s", m.Ticket, m.Tokens.First, m.Tokens.Last, m.Queued, id, m.From, d.lease)
		}
		got := receive(d, d.inbox)
		if g, ok := got.(*redis.Message); !ok || g.Payload != want {
			d.fault("message %v, want %q", got, want)
			return
		}
	}
}
