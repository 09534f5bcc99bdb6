package backend_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

var (
	walkSeed  = flag.Uint64("walk.seed", 0, "seed of the random walk; 0 for the fixed one")
	walkSteps = flag.Int("walk.steps", 4000, "steps of the random walk")
)

// walk does operations at random, and compares each answer, and what is then in
// Redis, with the model.
type walk struct {
	*stage
	*rand.Rand
	m       model
	players []*player
	used    uint64 // the greatest token that can have been used
	block   backend.TokenRange
	steps   []string
}

// After every step:
//   - the answer, the owner, the line and the message are the model's;
//   - a lease with others in line has its flag set;
//   - a lease has an expiry, and so has a queue;
//   - tokens are above all that were in use before.
func TestRandomOperationsFollowTheModel(t *testing.T) {
	seed := uint64(20260917)
	if *walkSeed != 0 {
		seed = *walkSeed
	}
	onBoth(t, func(s *stage) {
		w := &walk{stage: s, Rand: rand.New(rand.NewPCG(seed, 1))}
		for i := range 5 {
			p := newProcess(s)
			if i > 0 {
				p.listen()
			}
			// A process has one entry in line at most, but an old one may
			// still be asked about.
			for range 2 {
				w.players = append(w.players, &player{process: p, entry: p.entry(fmt.Sprint("p", i)).Wanting(1 + i)})
			}
		}
		for range *walkSteps {
			w.step()
			w.check()
			if s.Failed() {
				s.Fatalf("seed %d, after:\n%s", seed, strings.Join(w.steps[max(0, len(w.steps)-12):], "\n"))
			}
		}
	})
}

func (w *walk) log(format string, args ...any) {
	w.steps = append(w.steps, fmt.Sprintf(format, args...))
}

func (w *walk) any() *player { return w.players[w.IntN(len(w.players))] }

func (w *walk) step() {
	p := w.any()
	if w.m.owner != nil && w.IntN(3) == 0 {
		p = w.m.owner
	}
	w.m.passed = nil
	switch n := w.IntN(100); {
	case n < 45:
		w.stepAcquire(p)
	case n < 70:
		w.stepRelease(p)
	case n < 80:
		w.stepRenew(p)
	case n < 88:
		w.log("cancel %s", p.entry)
		w.leave(p)
		w.must(w.m.cancel(p), backend.Cancel(w.names, p.entry))
	case n < 90:
		w.stepBreak(p)
	case n < 93:
		w.log("%s is deaf or hears again", p.name)
		if p.alive() {
			p.deafen()
		} else {
			p.listen()
		}
	case n < 97:
		if w.m.owner != nil {
			w.log("expiry")
			w.leave(w.m.owner)
			w.expire()
			w.m.owner, w.m.broke = nil, false
		}
	case n < 98:
		w.log("scripts forgotten")
		w.rdb.ScriptFlush(w.Context())
	default:
		w.log("data lost")
		if w.m.owner != nil {
			w.leave(w.m.owner)
		}
		w.rdb.FlushAll(w.Context())
		w.m = model{}
	}
	if w.m.passed != nil {
		w.heardGrant(w.m.passed)
	}
}

func (w *walk) stepRenew(p *player) {
	tokens := w.IntN(3)
	w.log("renew %s, %d tokens", p.entry, tokens)
	want := w.m.renew(p)
	op := backend.Renew(w.names, p.entry, p.refreshed(w.IntN(2) == 0), tokens)
	if want == backend.Broken {
		w.shortly(want, op)
		return
	}
	r := w.must(want, op)
	if want != backend.Renewed || tokens == 0 {
		if r.Tokens != (backend.TokenRange{}) {
			w.Errorf("tokens %+v that nobody asked for", r.Tokens)
		}
		return
	}
	if b := r.Tokens; b.First <= w.block.Last || b.Last != b.First+uint64(tokens)-1 {
		w.Errorf("%d tokens %+v after %+v", tokens, b, w.block)
	}
	w.block = r.Tokens // the owner has used what it had
	w.used = max(w.used, r.Tokens.First-1)
}

// refreshed returns an entry with the identity of p's and other metadata, or
// "".
func (p *player) refreshed(do bool) backend.Entry {
	if !do {
		return ""
	}
	return backend.MakeEntry(p.entry.ID(), ttl, 1, "refreshed")
}

func (w *walk) stepAcquire(p *player) {
	wait, queueCap := w.IntN(4) > 0, 1+w.IntN(8)
	w.log("acquire %s wait %v cap %d", p.entry, wait, queueCap)
	was := w.m.owner
	want, op := w.m.acquire(p, wait, queueCap), backend.Acquire(w.names, p.entry, wait, queueCap)
	if want == backend.Broken {
		w.shortly(want, op)
		return
	}
	r := w.must(want, op)
	w.took(p, r, was == p)
}

func (w *walk) stepBreak(p *player) {
	atOnce := w.IntN(3) == 0
	w.log("break %s at once %v", p.entry, atOnce)
	if atOnce {
		w.leave(p)
	}
	was := w.m.owner
	want := w.m.take(p, atOnce)
	r := w.must(want, backend.Break(w.names, p.entry.ID(), atOnce))
	if want != backend.Missing && r.Owner.ID() != was.entry.ID() {
		w.Errorf("owner %q, want %q", r.Owner, was.entry)
	}
}

// shortly carries out an operation of a broken lease's owner, which must not
// change its expiry.
func (w *walk) shortly(want backend.Status, op backend.Op) {
	w.Helper()
	w.rdb.PExpire(w.Context(), w.lease, ttl/2)
	w.must(want, op)
	if left := w.pttl(w.lease); left > ttl/2 {
		w.Errorf("a broken lease expires in %v", left)
	}
}

// took compares what an answer says with the model, and keeps it.
func (w *walk) took(p *player, r backend.Reply, again bool) {
	if r.Queued != len(w.m.line) {
		w.Errorf("%d wait, want %d", r.Queued, len(w.m.line))
	}
	switch r.Status {
	case backend.Granted:
		w.granted(p, r.Tokens, again)
	case backend.Waiting:
		if want := slices.Index(w.m.line, p) + 1; r.Position != want {
			w.Errorf("position %d, want %d", r.Position, want)
		}
		p.reply = r
	}
	if r.Status != backend.Granted && r.Owner.ID() != w.m.owner.entry.ID() {
		w.Errorf("owner %q, want %q", r.Owner, w.m.owner.entry)
	}
}

// granted checks the tokens of a new owner. One who is granted again keeps those
// that he has.
func (w *walk) granted(p *player, b backend.TokenRange, again bool) {
	if b.First <= w.used || b.Last < b.First {
		w.Errorf("tokens %+v, and %d has been used", b, w.used)
	}
	if !again {
		w.used, w.block = b.First, b
	}
}

// leave notes that p gives its lease up, if it has it, without a word on how
// many of its tokens it has used: it may be all.
func (w *walk) leave(p *player) {
	if w.m.owner == p {
		w.used = max(w.used, w.block.Last)
	}
}

func (w *walk) stepRelease(p *player) {
	var requeue *player
	var entry backend.Entry
	if q := w.any(); w.IntN(2) == 0 && q != p && q != w.m.owner && !slices.Contains(w.m.line, q) {
		requeue, entry = q, q.entry
	}
	w.log("release %s requeue %q", p.entry, entry)
	used, block := uint64(1), backend.TokenRange{First: 1, Last: 1}
	if w.m.owner == p {
		block = w.block
		used = block.First + w.Uint64N(block.Last-block.First+1)
		w.used = max(w.used, used)
	}
	own, requeued := w.m.release(p, requeue)
	r := w.must(own, backend.Release(w.names, p.entry.ID(), used, block.Last, entry))
	if requeued == 0 {
		if r.Requeued != nil {
			w.Errorf("requeued %+v", r.Requeued)
		}
		return
	}
	w.took(requeue, w.requeued(r, requeued), false)
}

// heardGrant checks the message to a new owner.
func (w *walk) heardGrant(p *player) {
	var grants []string
	for _, m := range p.heard() {
		if strings.HasPrefix(m, "grant\n") {
			grants = append(grants, m)
		}
	}
	if len(grants) != 1 {
		w.Errorf("%d grants, want 1: %q", len(grants), grants)
		return
	}
	f := strings.Split(grants[0], "\n")
	if f[1] != strconv.FormatUint(p.reply.Ticket, 10) || f[4] != strconv.Itoa(w.m.told) || f[5] != string(p.entry.ID()) || f[7] != w.lease {
		w.Errorf("grant %q, want for %q with ticket %d and %d in line", f, p.entry, p.reply.Ticket, w.m.told)
	}
	w.granted(p, backend.TokenRange{
		First: ok(strconv.ParseUint(f[2], 10, 64))(w), Last: ok(strconv.ParseUint(f[3], 10, 64))(w),
	}, false)
}

// check compares what is in Redis with the model.
func (w *walk) check() {
	w.Helper()
	var line []backend.Entry
	for _, p := range w.m.line {
		line = append(line, p.entry)
	}
	w.wantQueue(line...)
	if left := w.pttl(w.queue); len(line) > 0 && left <= 0 {
		w.Errorf("the queue expires in %v", left)
	}
	if w.m.owner == nil {
		w.wantNoLease()
		return
	}
	lease := backend.Entry(ok(w.rdb.Get(w.Context(), w.lease).Result())(w))
	if lease.ID() != w.m.owner.entry.ID() {
		w.Errorf("owner %q, want %q", lease, w.m.owner.entry)
	}
	if len(line) > 0 && lease[0] != '1' {
		w.Errorf("%d wait, and the lease is %q", len(line), lease)
	}
	if lease.Broken() != w.m.broke {
		w.Errorf("broken %v, and the lease is %q", w.m.broke, lease)
	}
	if left := w.pttl(w.lease); left <= 0 || left > ttl {
		w.Errorf("the lease expires in %v", left)
	}
}
