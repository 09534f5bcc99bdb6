package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/scriptmodel"
)

// What the explorer explores: processes with one key, a Redis, and a network that
// delays, reorders, repeats and loses. All that may happen at a moment is a list of
// moves; each makes another world of this one.

const (
	simTTL = 3 * time.Second
	// simGone is after how long past a moment is as good as any before it.
	simGone = 4 * simTTL
)

// simEpoch is when a world begins.
var simEpoch = time.UnixMilli(1_700_000_000_000).UTC()

// budget is how much of each kind of trouble a world has left.
type budget struct {
	Joins   int8 // requests of each process
	Faults  int8 // operations whose answer, or which themselves, get lost
	Loss    int8 // messages that get lost
	Repeats int8 // messages that come twice
	Pauses  int8 // a process stands still, or is late, while time goes on
	Cancels int8 // requests that go away
	Breaks  int8 // leases that an operator breaks
	Outages int8 // a subscription breaks
	Forgets int8 // Redis loses all data; then more than one may hold the lock
	Ticks   int8 // time goes on to the next alarm or expiry
}

// simOp is an operation in the network.
type simOp struct {
	p    int
	op   Op
	sent time.Time
	// done is set when the server has done it: then answer is on its way back.
	done   bool
	answer Answer
	// late is set if its process has been told that there is no answer: it may be done
	// yet, but nobody hears of it.
	late bool
}

// simMessage is a message on its way to p.
type simMessage struct {
	p int
	m Message
}

// simAlarm is an alarm that is set.
type simAlarm struct {
	alarm   Alarm
	entry   *Entry
	request *Request
	cleanup *Cleanup
	sub     bool
	at      time.Time
}

func (a *simAlarm) same(b *simAlarm) bool {
	return a.alarm == b.alarm && a.entry == b.entry && a.request == b.request && a.cleanup == b.cleanup && a.sub == b.sub
}

// simHolder is a request that holds the lock, until it is released.
type simHolder struct {
	entry   *Entry
	token   uint64
	stopped bool
}

// simProcess is one process: its machine, and what drives that.
type simProcess struct {
	world    *sim
	number   int
	machine  *Machine
	sub      *Subscription
	alarms   []simAlarm
	holders  []simHolder
	waiting  []*Request // that have no outcome yet
	joins    int8
	upcoming bool // its subscription is being opened
}

// sim is one world.
type sim struct {
	now      time.Time
	key      scriptmodel.Key
	procs    []*simProcess
	ops      []simOp
	messages []simMessage
	left     budget
	highest  uint64 // the highest token of a holder
	forgot   bool
	fault    error // an oracle's finding
}

const simKey = "k"

func newSim(processes int, b budget, cfg Config) *sim {
	w := &sim{now: simEpoch, left: b}
	for i := range processes {
		p := &simProcess{world: w, number: i, sub: &Subscription{}, joins: b.Joins}
		p.machine = New(cfg, p)
		w.procs = append(w.procs, p)
	}
	return w
}

// The World of a machine.

func (p *simProcess) NewLine(key string) *Line             { return &Line{Key: key, Subscription: p.sub} }
func (p *simProcess) NewEntry() *Entry                     { return &Entry{} }
func (p *simProcess) Down(*Line) error                     { return nil }
func (p *simProcess) Withdraw(*Entry) bool                 { return false }
func (p *simProcess) Sent(*Entry) (time.Time, bool)        { return time.Time{}, false }
func (p *simProcess) Jitter(d time.Duration) time.Duration { return d }

// step gives p an event and carries out what comes of it.
func (p *simProcess) step(v Event) {
	w := p.world
	for _, f := range p.machine.Step(&v, w.now) {
		switch f.Kind {
		case Send:
			w.ops = append(w.ops, simOp{p: p.number, op: *f.Op, sent: w.now})
		case SetAlarm, ClearAlarm:
			a := simAlarm{f.Alarm, f.Entry, f.Request, f.Cleanup, f.Subscription != nil, f.At}
			p.alarms = slices.DeleteFunc(p.alarms, func(b simAlarm) bool { return b.same(&a) })
			if f.Kind == SetAlarm {
				p.alarms = append(p.alarms, a)
			}
		case Grant:
			p.settle(f.Request)
			f.Entry.Holder = f.Token
			if f.Token <= w.highest && !w.forgot {
				w.found("O2: token %d comes after %d", f.Token, w.highest)
			}
			w.highest = max(w.highest, f.Token)
			p.holders = append(p.holders, simHolder{entry: f.Entry, token: f.Token})
		case Refuse:
			p.settle(f.Request)
		case Stop:
			for i := range p.holders {
				if h := &p.holders[i]; h.entry == f.Entry {
					h.stopped = true
				}
			}
		case Subscribe:
			p.upcoming = true
		case ReleaseOrphan:
			// By its number: nothing else is known of it, and nobody hears of the answer.
			w.ops = append(w.ops, simOp{p: p.number, op: Op{Kind: OpRelease, Entry: &Entry{Number: v.Message.Number, TTL: simTTL}}, sent: w.now, late: true})
		}
	}
	if err := p.machine.check(); err != nil && w.fault == nil {
		w.found("%v", err)
	}
	w.judge()
}

func (w *sim) found(format string, args ...any) {
	if w.fault == nil {
		w.fault = fmt.Errorf(format, args...)
	}
}

// settle is O3: a request has one outcome.
func (p *simProcess) settle(r *Request) {
	i := slices.Index(p.waiting, r)
	if i < 0 {
		p.world.found("O3: %v of process %d has two outcomes", r, p.number)
		return
	}
	p.waiting = slices.Delete(p.waiting, i, i+1)
	p.alarms = slices.DeleteFunc(p.alarms, func(a simAlarm) bool { return a.request == r })
}

// judge is O1: no two believe that they hold the lock, and are right to.
func (w *sim) judge() {
	if w.forgot {
		return
	}
	believers := 0
	for _, p := range w.procs {
		for _, h := range p.holders {
			if !h.entry.lost && h.entry.valid.Remaining(w.now) > 0 {
				believers++
			}
		}
	}
	if believers > 1 {
		w.found("O1: %d hold the lock", believers)
	}
}

// A move is one thing that may happen.
type move struct {
	kind moveKind
	p    int // the process
	i    int // which operation, message, alarm, holder or request
}

type moveKind uint8

const (
	moveJoin    moveKind = iota
	moveDo               // the server does an operation
	moveAnswer           // its answer comes
	moveFail             // it does not; the operation may be done yet
	moveDrop             // an operation that nobody waits for is never done
	moveMessage          // a message comes
	moveRepeat           // it comes, and will come again
	moveLose             // it does not
	moveAlarm            // an alarm goes off
	moveRelease          // a holder is done
	moveCancel           // a request goes away
	moveUp               // a subscription is confirmed
	moveDown             // it breaks
	moveBreak            // an operator breaks the lease
	moveForget           // Redis loses its data
	moveTick             // time goes on to when something is due
)

var moveNames = [...]string{
	"joins", "does", "answer to", "no answer to", "drops", "hears", "hears (to come again)", "misses", "alarm", "releases", "cancels", "subscription up", "subscription down", "break", "forget", "tick",
}

// due returns the next moment at which something is due, and whether something is due
// already that has not been done.
func (w *sim) due() (next time.Time, late bool) {
	at := func(t time.Time) {
		if !t.After(w.now) {
			return
		}
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	for _, p := range w.procs {
		for _, a := range p.alarms {
			if !a.at.After(w.now) {
				late = true
			}
			at(a.at)
		}
		for _, h := range p.holders {
			if !h.entry.lost {
				at(h.entry.valid.End())
			}
		}
	}
	if w.key.Lease.Held {
		at(w.now.Add(w.key.Lease.Left))
	}
	return next, late
}

// moves lists all that may happen now.
func (w *sim) moves(list []move) []move {
	list = list[:0]
	for i := range w.ops {
		switch o := &w.ops[i]; {
		case o.late:
			list = append(list, move{moveDo, o.p, i}, move{moveDrop, o.p, i})
		case o.done:
			list = append(list, move{moveAnswer, o.p, i})
			if w.left.Faults > 0 {
				list = append(list, move{moveFail, o.p, i})
			}
		default:
			list = append(list, move{moveDo, o.p, i})
			if w.left.Faults > 0 {
				list = append(list, move{moveFail, o.p, i})
			}
		}
	}
	for i, m := range w.messages {
		list = append(list, move{moveMessage, m.p, i})
		if w.left.Repeats > 0 {
			list = append(list, move{moveRepeat, m.p, i})
		}
		if w.left.Loss > 0 {
			list = append(list, move{moveLose, m.p, i})
		}
	}
	for n, p := range w.procs {
		if p.joins > 0 {
			list = append(list, move{moveJoin, n, 0})
		}
		for i := range p.alarms {
			if !p.alarms[i].at.After(w.now) {
				list = append(list, move{moveAlarm, n, i})
			}
		}
		for i := range p.holders {
			list = append(list, move{moveRelease, n, i})
		}
		if w.left.Cancels > 0 {
			for i := range p.waiting {
				list = append(list, move{moveCancel, n, i})
			}
		}
		if p.upcoming {
			list = append(list, move{moveUp, n, 0})
		}
		if p.sub.active && w.left.Outages > 0 {
			list = append(list, move{moveDown, n, 0})
		}
	}
	if w.key.Lease.Held && !w.key.Lease.Broken && w.left.Breaks > 0 {
		list = append(list, move{kind: moveBreak})
	}
	if w.left.Forgets > 0 {
		list = append(list, move{kind: moveForget})
	}
	if next, late := w.due(); !next.IsZero() && w.left.Ticks > 0 && (!late || w.left.Pauses > 0) {
		list = append(list, move{kind: moveTick})
	}
	return list
}

// do makes a move.
func (w *sim) do(v move) {
	switch v.kind {
	case moveJoin:
		p := w.procs[v.p]
		r := &Request{
			Key: simKey, Start: w.now, TTL: simTTL, Wait: time.Hour, MaxWaiters: 10,
			Data: fmt.Sprintf("r%d", p.joins),
		}
		p.joins--
		p.waiting = append(p.waiting, r)
		p.step(Event{Kind: Join, Request: r})
	case moveDo:
		w.execute(v.i)
	case moveDrop:
		w.ops = slices.Delete(w.ops, v.i, v.i+1)
	case moveAnswer:
		o := w.ops[v.i]
		w.ops = slices.Delete(w.ops, v.i, v.i+1)
		w.procs[o.p].step(Event{Kind: Replied, Op: o.op, Answer: o.answer})
	case moveFail:
		w.left.Faults--
		o := w.ops[v.i]
		if o.done {
			w.ops = slices.Delete(w.ops, v.i, v.i+1)
		} else {
			w.ops[v.i].late = true
		}
		w.procs[o.p].step(Event{Kind: Replied, Op: o.op, Answer: Answer{Err: errSim, Sent: o.sent}})
	case moveMessage, moveRepeat:
		m := w.messages[v.i]
		if v.kind == moveRepeat {
			w.left.Repeats--
		} else {
			w.messages = slices.Delete(w.messages, v.i, v.i+1)
		}
		w.procs[m.p].step(Event{Kind: Told, Message: &m.m})
	case moveLose:
		w.left.Loss--
		w.messages = slices.Delete(w.messages, v.i, v.i+1)
	case moveAlarm:
		p := w.procs[v.p]
		a := p.alarms[v.i]
		p.alarms = slices.Delete(p.alarms, v.i, v.i+1)
		e := Event{Kind: Due, Alarm: a.alarm, Entry: a.entry, Request: a.request, Cleanup: a.cleanup}
		if a.sub {
			e.Subscription = p.sub
		}
		p.step(e)
	case moveRelease:
		p := w.procs[v.p]
		h := p.holders[v.i]
		p.holders = slices.Delete(p.holders, v.i, v.i+1)
		p.step(Event{Kind: Unlock, Entry: h.entry})
	case moveCancel:
		w.left.Cancels--
		p := w.procs[v.p]
		p.step(Event{Kind: Leave, Request: p.waiting[v.i]})
	case moveUp:
		p := w.procs[v.p]
		p.upcoming = false
		p.step(Event{Kind: Up, Subscription: p.sub})
	case moveDown:
		w.left.Outages--
		p := w.procs[v.p]
		p.upcoming = true
		p.step(Event{Kind: Down, Subscription: p.sub})
	case moveBreak:
		w.left.Breaks--
		s := w.server()
		s.Break(&w.key, w.key.Lease.ID, false)
		w.publish(s)
	case moveForget:
		w.left.Forgets--
		w.forgot = true
		w.key = scriptmodel.Key{}
	case moveTick:
		next, late := w.due()
		w.left.Ticks--
		if late {
			w.left.Pauses--
		}
		w.key.Advance(next.Sub(w.now))
		w.now = next
		w.judge()
	}
}

var errSim = errors.New("no answer")

// server is Redis, as it is now.
func (w *sim) server() *scriptmodel.Server {
	return &scriptmodel.Server{
		Now:     uint64(w.now.UnixMicro()),
		Listens: func(p uint8) bool { return w.procs[p].sub.active },
	}
}

// publish puts what the server has published into the network.
func (w *sim) publish(s *scriptmodel.Server) {
	for _, m := range s.Messages {
		kind := [...]MessageKind{scriptmodel.Grant: Granted, scriptmodel.Contended: Contended, scriptmodel.Stop: Broken}[m.Kind]
		w.messages = append(w.messages, simMessage{int(m.ID.Process), Message{
			Kind: kind, Key: simKey, Number: uint64(m.ID.Number), Ticket: m.Ticket, Tokens: TokenRange(m.Tokens), Queued: m.Queued,
		}})
	}
}

// wire is e as it stands in Redis.
func (p *simProcess) wire(e *Entry) scriptmodel.Entry {
	return scriptmodel.Entry{ID: scriptmodel.ID{Process: uint8(p.number), Number: uint32(e.Number)}, TTL: e.TTL, Tokens: max(1, e.Tokens)}
}

// execute has the server do operation i.
func (w *sim) execute(i int) {
	o, s := &w.ops[i], w.server()
	p := w.procs[o.p]
	var r scriptmodel.Reply
	switch o.op.Kind {
	case OpAcquire:
		limit := 0
		if o.op.Wait {
			limit = 1000
		}
		r = s.Acquire(&w.key, p.wire(o.op.Entry), limit)
	case OpRenew:
		r = s.Renew(&w.key, p.wire(o.op.Entry), nil, o.op.Tokens)
	case OpRelease:
		e := p.wire(o.op.Entry)
		if l := o.op.Release; l == nil {
			r = s.Release(&w.key, e.ID, 0, 0, nil, nil)
		} else {
			var next *scriptmodel.Entry
			if l.Requeue {
				n := p.wire(l.Next)
				next = &n
			}
			r = s.Release(&w.key, e.ID, l.Used, l.Reserved, next, nil)
		}
	case OpCancel:
		r = s.Cancel(&w.key, p.wire(o.op.Entry))
	case OpListening:
		r.Heard = p.sub.active
	}
	o.done, o.answer = true, Answer{Reply: simReply(&r), Sent: o.sent}
	if o.late {
		w.ops = slices.Delete(w.ops, i, i+1)
	}
	w.publish(s)
}

// simReply is r, as the machine takes it.
func simReply(r *scriptmodel.Reply) Reply {
	a := Reply{
		Status: [...]Status{
			scriptmodel.Granted: StatusGranted, scriptmodel.Waiting: StatusWaiting, scriptmodel.Held: StatusHeld, scriptmodel.Full: StatusFull,
			scriptmodel.Released: StatusReleased, scriptmodel.Missing: StatusMissing, scriptmodel.Lost: StatusLost, scriptmodel.Renewed: StatusRenewed,
			scriptmodel.Left: StatusLeft, scriptmodel.Absent: StatusAbsent, scriptmodel.Broken: StatusBroken,
		}[r.Status],
		Tokens: TokenRange(r.Tokens), Ticket: r.Ticket, Position: r.Position, Heard: r.Heard, Queued: r.Queued, TTL: r.Owner.Left,
	}
	if r.Requeued != nil {
		q := simReply(r.Requeued)
		a.Requeued = &q
	}
	return a
}

// settled is O4 and O5, where nothing more will happen: nobody waits, and no lease is
// left to nobody.
func (w *sim) settled() error {
	for _, p := range w.procs {
		if len(p.waiting) > 0 {
			return fmt.Errorf("O4: %d requests of process %d wait for ever", len(p.waiting), p.number)
		}
	}
	if w.key.Lease.Held {
		return fmt.Errorf("O5: %v holds the lock for nobody", w.key.Lease.ID)
	}
	return nil
}

// text describes a move in w, before it is made.
func (w *sim) text(v move) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%6v  p%d %s", w.now.Sub(simEpoch), v.p, moveNames[v.kind])
	switch v.kind {
	case moveDo, moveAnswer, moveFail, moveDrop:
		o := &w.ops[v.i]
		fmt.Fprintf(&b, " %v", &o.op)
		if v.kind == moveAnswer {
			fmt.Fprintf(&b, ": %v", &o.answer)
		}
	case moveMessage, moveRepeat, moveLose:
		m := w.messages[v.i].m
		fmt.Fprintf(&b, " %s e%d", messageNames[m.Kind], m.Number)
	case moveAlarm:
		a := w.procs[v.p].alarms[v.i]
		f := Effect{Entry: a.entry, Request: a.request, Cleanup: a.cleanup}
		fmt.Fprintf(&b, " %s of %s", alarmNames[a.alarm], f.subject())
	case moveRelease:
		fmt.Fprintf(&b, " %v", w.procs[v.p].holders[v.i].entry)
	case moveCancel:
		fmt.Fprintf(&b, " %v", w.procs[v.p].waiting[v.i])
	}
	return b.String()
}

// clone returns a copy of w that shares nothing with it that changes.
func (w *sim) clone() *sim {
	c := &sim{}
	*c = *w
	c.key = w.key.Clone()
	c.procs = make([]*simProcess, len(w.procs))
	c.messages = slices.Clone(w.messages)
	c.ops = slices.Clone(w.ops)
	copies := make([]copier, len(w.procs))
	for i, p := range w.procs {
		c.procs[i] = copies[i].process(p, c)
	}
	for i := range c.ops {
		o := &c.ops[i]
		o.op = copies[o.p].op(o.op)
	}
	return c
}

// copier copies what belongs to one process, each thing once.
type copier struct {
	sub      *Subscription
	lines    [][2]*Line
	entries  [][2]*Entry
	requests [][2]*Request
	cleanups [][2]*Cleanup
}

func (k *copier) process(p *simProcess, w *sim) *simProcess {
	c := &simProcess{}
	*c = *p
	s := *p.sub
	k.sub = &s
	c.world, c.sub = w, &s
	m := *p.machine
	c.machine = &m
	m.world, m.effects, m.ops, m.obstacles = c, nil, nil, nil
	m.lines = make(map[string]*Line, len(p.machine.lines))
	for key, q := range p.machine.lines {
		m.lines[key] = k.lineOf(q)
	}
	m.entries = make(map[uint64]*Entry, len(p.machine.entries))
	for n, e := range p.machine.entries {
		m.entries[n] = k.entry(e)
	}
	c.alarms = slices.Clone(p.alarms)
	for i := range c.alarms {
		a := &c.alarms[i]
		a.entry, a.request, a.cleanup = k.entry(a.entry), k.request(a.request), k.cleanup(a.cleanup)
	}
	c.holders = slices.Clone(p.holders)
	for i := range c.holders {
		c.holders[i].entry = k.entry(c.holders[i].entry)
	}
	c.waiting = slices.Clone(p.waiting)
	for i := range c.waiting {
		c.waiting[i] = k.request(c.waiting[i])
	}
	return c
}

func (k *copier) lineOf(q *Line) *Line {
	if q == nil {
		return nil
	}
	for _, pair := range k.lines {
		if pair[0] == q {
			return pair[1]
		}
	}
	c := *q
	k.lines = append(k.lines, [2]*Line{q, &c})
	c.Subscription = k.sub
	c.requests = list{}
	for r := q.requests.first; r != nil; r = r.next {
		c.requests.push(k.request(r))
	}
	c.entry = k.entry(q.entry)
	return &c
}

func (k *copier) entry(e *Entry) *Entry {
	if e == nil {
		return nil
	}
	for _, pair := range k.entries {
		if pair[0] == e {
			return pair[1]
		}
	}
	c := *e
	k.entries = append(k.entries, [2]*Entry{e, &c})
	c.line = k.lineOf(e.line)
	if e.wait != nil {
		w := *e.wait
		c.wait = &w
	}
	return &c
}

func (k *copier) request(r *Request) *Request {
	if r == nil {
		return nil
	}
	for _, pair := range k.requests {
		if pair[0] == r {
			return pair[1]
		}
	}
	c := *r
	k.requests = append(k.requests, [2]*Request{r, &c})
	c.prev, c.next = nil, nil
	c.line = k.lineOf(r.line)
	return &c
}

func (k *copier) cleanup(u *Cleanup) *Cleanup {
	if u == nil {
		return nil
	}
	for _, pair := range k.cleanups {
		if pair[0] == u {
			return pair[1]
		}
	}
	c := *u
	k.cleanups = append(k.cleanups, [2]*Cleanup{u, &c})
	c.Entry = k.entry(u.Entry)
	return &c
}

func (k *copier) op(o Op) Op {
	o.Entry, o.Cleanup = k.entry(o.Entry), k.cleanup(o.Cleanup)
	if o.Subscription != nil {
		o.Subscription = k.sub
	}
	if o.Release != nil {
		r := *o.Release
		r.Entry, r.Next = k.entry(r.Entry), k.entry(r.Next)
		o.Release = &r
	}
	return o
}

// hash is equal for two worlds that go on alike.
func (w *sim) hash(seed maphash.Seed, buf []byte) (uint64, []byte) {
	b := encoder{buf: buf[:0], now: w.now, seed: seed}
	b.world(w)
	return maphash.Bytes(seed, b.buf), b.buf
}

// encoder writes down all of a world that matters for how it goes on, with times as
// what is left until then.
type encoder struct {
	buf  []byte
	now  time.Time
	seed maphash.Seed
}

// set writes down n things whose order does not matter.
func (b *encoder) set(n int, write func(i int)) {
	start, sum := len(b.buf), uint64(n)
	for i := range n {
		write(i)
		sum += maphash.Bytes(b.seed, b.buf[start:])
		b.buf = b.buf[:start]
	}
	b.buf = binary.LittleEndian.AppendUint64(b.buf, sum)
}

func (b *encoder) int(n int64)   { b.buf = binary.AppendVarint(b.buf, n) }
func (b *encoder) uint(n uint64) { b.buf = binary.AppendUvarint(b.buf, n) }
func (b *encoder) time(t time.Time) {
	if t.IsZero() {
		b.uint(0)
		return
	}
	b.uint(1)
	b.int(int64(max(t.Sub(b.now), -simGone) / time.Millisecond))
}

// token writes a token as how far it is ahead of the clock, as the server's are.
func (b *encoder) token(t uint64) {
	if t == 0 {
		b.uint(0)
		return
	}
	b.uint(1)
	b.int(max(int64(t)-b.now.UnixMicro(), -int64(simGone/time.Microsecond)))
}

func (b *encoder) tokens(t TokenRange) { b.token(t.First); b.token(t.Last) }

func (b *encoder) flags(flags ...bool) {
	n := uint64(0)
	for i, f := range flags {
		if f {
			n |= 1 << i
		}
	}
	b.uint(n)
}

func (b *encoder) world(w *sim) {
	l := w.left
	for _, n := range [...]int8{l.Faults, l.Loss, l.Repeats, l.Pauses, l.Cancels, l.Breaks, l.Outages, l.Forgets, l.Ticks} {
		b.uint(uint64(n))
	}
	b.flags(w.forgot, w.key.Lease.Held, w.key.Lease.Contended, w.key.Lease.Broken)
	b.token(w.highest)
	b.id(w.key.Lease.ID)
	b.int(int64(w.key.Lease.Left / time.Millisecond))
	b.token(w.key.Fence)
	b.uint(uint64(len(w.key.Queue)))
	for _, q := range w.key.Queue {
		b.id(q.ID)
		b.uint(uint64(q.Tokens))
		b.token(q.Ticket)
	}
	b.int(int64(w.key.QueueLeft / time.Millisecond))
	b.set(len(w.ops), func(i int) { b.op(&w.ops[i]) })
	b.set(len(w.messages), func(i int) {
		m := &w.messages[i]
		b.uint(uint64(m.p)<<4 | uint64(m.m.Kind))
		b.uint(m.m.Number)
		b.token(m.m.Ticket)
		b.tokens(m.m.Tokens)
		b.uint(uint64(m.m.Queued))
	})
	for _, p := range w.procs {
		b.process(p)
	}
}

func (b *encoder) id(id scriptmodel.ID) { b.uint(uint64(id.Process)); b.uint(uint64(id.Number)) }

func (b *encoder) op(o *simOp) {
	b.uint(uint64(o.p))
	b.uint(uint64(o.op.Kind))
	b.flags(o.done, o.late, o.op.Wait, o.op.Refresh, o.op.Entry != nil, o.op.Release != nil, o.op.Cleanup != nil)
	b.uint(uint64(o.op.Tokens))
	b.time(o.sent)
	if o.op.Entry != nil {
		b.entry(o.op.Entry)
	}
	if r := o.op.Release; r != nil {
		b.token(r.Used)
		b.token(r.Reserved)
		b.flags(r.Next != nil, r.Requeue, r.lost, r.proven)
		if r.Next != nil {
			b.entry(r.Next)
		}
	}
	if c := o.op.Cleanup; c != nil {
		b.cleanup(c)
	}
	if o.done {
		b.reply(&o.answer.Reply)
	}
}

func (b *encoder) reply(r *Reply) {
	b.uint(uint64(r.Status))
	b.tokens(r.Tokens)
	b.token(r.Ticket)
	b.uint(uint64(r.Position)<<1 | uint64(r.Queued)<<16)
	b.flags(r.Heard, r.Requeued != nil)
	b.int(int64(r.TTL / time.Millisecond))
	if r.Requeued != nil {
		b.reply(r.Requeued)
	}
}

func (b *encoder) cleanup(c *Cleanup) {
	b.entry(c.Entry)
	b.time(c.until)
	b.flags(c.thorough)
	b.int(int64(c.pause / time.Millisecond))
}

func (b *encoder) entry(e *Entry) {
	b.uint(e.Number)
	b.uint(uint64(e.state))
	b.flags(e.mayQueue, e.lateGrant, e.mayExecute, e.fault != nil, e.unsent, e.wait != nil, e.others, e.lost, e.overdue, e.broken, e.warned, e.tokens.asked)
	b.uint(uint64(e.inFlight)<<3 | uint64(e.renewing))
	b.uint(uint64(e.Tokens))
	b.time(e.firstSend)
	b.time(e.unanswered)
	if w := e.wait; w != nil {
		b.token(w.ticket)
		b.time(w.ticketSent)
		b.time(w.lateSince)
		b.flags(w.askAgain)
		b.int(int64(w.pollPause / time.Millisecond))
	}
	if e.state >= held {
		b.time(e.valid.From())
		b.time(e.begun)
		b.token(e.tokens.used)
		b.tokens(e.tokens.block)
		b.tokens(e.tokens.next)
		b.uint(uint64(e.served))
		b.time(e.maxHoldAt)
	}
}

func (b *encoder) process(p *simProcess) {
	m := p.machine
	b.flags(m.closed, p.sub.open, p.sub.active, p.sub.used, p.sub.checked, p.upcoming)
	b.uint(uint64(p.joins))
	b.time(p.sub.renewAfter)
	b.int(int64(p.sub.pause / time.Millisecond))
	b.uint(m.counter)
	for n := uint64(1); n <= m.counter; n++ {
		if e := m.entries[n]; e != nil {
			b.entry(e)
		}
	}
	b.uint(0)
	if q := m.lines[simKey]; q != nil {
		b.uint(uint64(q.served))
		for r := q.head(); r != nil; r = r.next {
			b.request(r)
		}
		if q.entry != nil {
			b.uint(q.entry.Number)
		}
	}
	b.set(len(p.alarms), func(i int) {
		a := &p.alarms[i]
		b.uint(uint64(a.alarm))
		b.time(a.at)
		switch {
		case a.entry != nil:
			b.uint(a.entry.Number)
			b.uint(uint64(a.entry.state))
		case a.request != nil:
			b.request(a.request)
		case a.cleanup != nil:
			b.cleanup(a.cleanup)
		}
	})
	b.uint(uint64(len(p.holders)))
	for _, h := range p.holders {
		b.uint(h.entry.Number)
		b.entry(h.entry)
		b.token(h.token)
		b.flags(h.stopped)
	}
	b.uint(uint64(len(p.waiting)))
}

func (b *encoder) request(r *Request) {
	b.flags(r.Contended, r.Behind, r.Notified, r.Limited, r.line != nil)
	b.buf = append(b.buf, r.Data.(string)...)
	b.time(r.Start)
}
