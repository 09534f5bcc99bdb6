package engine

import (
	"maps"
	"slices"
	"time"
)

// Config is what does not change while a Machine runs.
type Config struct {
	// Tenure is for how long a lease is passed on here while others wait.
	Tenure time.Duration
	// Silence is for how long Redis may leave a question unanswered.
	Silence time.Duration
	// SlowAnswer is how long an answer may take before a wait that ends meanwhile is
	// put down to Redis rather than to whoever is in the way.
	SlowAnswer time.Duration
	// MaxRequests is how many may wait in the process.
	MaxRequests int
	// Acks is set if replicas are to acknowledge what is granted.
	Acks bool
	// CloseIdle has subscriptions shut when nobody has needed them for a while.
	CloseIdle bool
}

// World is what a Machine has to know, or to get, while it takes an event.
type World interface {
	// NewLine returns a line for key, with its subscription.
	NewLine(key string) *Line
	// NewEntry returns a zero entry.
	NewEntry() *Entry
	// Down tells why the server of a line counts as out of reach; nil if it does not.
	Down(q *Line) error
	// Withdraw takes back the first question for e, and reports whether that has not
	// left the process: then it is not answered.
	Withdraw(e *Entry) bool
	// Sent returns when the first question for e left the process, zero if it has not;
	// false if it is answered, or was sent by its caller itself.
	Sent(e *Entry) (time.Time, bool)
	// Jitter returns a duration near d, at random.
	Jitter(d time.Duration) time.Duration
}

// Machine is one process's lines and leases. It is not safe for concurrent use.
type Machine struct {
	Config
	world World

	closed   bool
	lines    map[string]*Line
	entries  map[uint64]*Entry // by their number: those not retired, or being released
	counter  uint64            // the last entry's number
	lastSeen uint64            // the highest fencing token that Redis has answered with
	requests int               // in line, over all keys
	holders  int

	// Of the last Step.
	effects   []Effect
	ops       []Op
	obstacles []Obstacle
}

// New returns a Machine with nothing in it.
func New(cfg Config, w World) *Machine {
	return &Machine{Config: cfg, world: w, lines: make(map[string]*Line), entries: make(map[uint64]*Entry)}
}

// Step takes an event at the time now, and returns what is to be done for it, which is
// valid until the next Step.
func (m *Machine) Step(v *Event, now time.Time) []Effect {
	clear(m.effects)
	clear(m.ops)
	clear(m.obstacles)
	m.effects, m.ops, m.obstacles = m.effects[:0], m.ops[:0], m.obstacles[:0]
	switch v.Kind {
	case Join:
		m.onJoin(v.Request, now)
	case Leave:
		m.onLeave(v.Request, now)
	case Due:
		m.onDue(v, now)
	case Replied:
		m.onReplied(&v.Op, &v.Answer, now)
	case Told:
		m.onMessage(v.Message, now)
	case Unlock:
		m.onRelease(v.Entry, now)
	case Up:
		m.onUp(v.Subscription, now)
	case Down:
		m.onDown(v.Subscription)
	case Close:
		m.onClose(now)
	case CutOff:
		m.onCutOff(now)
	}
	return m.effects
}

// onDue takes an alarm.
func (m *Machine) onDue(v *Event, now time.Time) {
	switch v.Alarm {
	case Next:
		m.onNext(v.Entry, now)
	case Expiry:
		m.onExpiry(v.Entry, now)
	case MaxHold:
		m.onMaxHold(v.Entry, now)
	case Patience:
		m.onLeave(v.Request, now)
	case Retry:
		m.runCleanup(v.Cleanup)
	case Idle:
		m.onIdle(v.Subscription, now)
	case Check:
		m.onCheck(v.Subscription, now)
	}
}

// onReplied takes the answer to an operation, or that there is none.
func (m *Machine) onReplied(o *Op, a *Answer, now time.Time) {
	switch o.Kind {
	case OpAcquire:
		m.onAcquireReply(o.Entry, a, now)
	case OpRenew:
		if o.Confirm != nil {
			m.onConfirmReply(o.Entry, o.Confirm, a, now)
		} else {
			m.onRenewReply(o.Entry, o.Tokens, a, now)
		}
	case OpRelease:
		m.onReleaseReply(o.Release, a, now)
	case OpCancel:
		m.onCleanupReply(o.Cleanup, a, now)
	case OpListening:
		if a.Err == nil {
			m.verify(o.Subscription, a.Reply.Heard, a.Sent, now)
		}
	}
}

// onMessage takes a message. One that names no entry of this process is forged:
// who has read of one can name it.
func (m *Machine) onMessage(g *Message, now time.Time) {
	if g.Number == 0 || g.Number > m.counter {
		return
	}
	e := m.entries[g.Number]
	switch {
	case e == nil:
		m.do(Effect{Kind: ReleaseOrphan}) // rule 1
	case g.Kind == Contended:
		e.others = true
	case g.Kind == Broken:
		m.onBroken(e, now)
	default:
		m.onGranted(e, g, now)
	}
}

// onClose refuses everybody in line, and gives up what stands in Redis for them.
func (m *Machine) onClose(now time.Time) {
	m.closed = true
	for _, key := range slices.Sorted(maps.Keys(m.lines)) {
		q := m.lines[key]
		m.refuseAll(q, Closed, nil, now)
		if e := q.entry; e != nil && e.state != held {
			m.retire(e, now)
		}
		m.forgetIfIdle(q)
	}
}

// onCutOff takes the lock from all who hold one. Whoever carries that out gives the
// leases back once their holders are told.
func (m *Machine) onCutOff(now time.Time) {
	for _, number := range slices.Sorted(maps.Keys(m.entries)) {
		if e := m.entries[number]; e.state == held && !e.lost {
			m.onLost(e, ErrCutOff, now)
		}
	}
}

func (m *Machine) do(f Effect) { m.effects = append(m.effects, f) }

// ask has an operation sent.
func (m *Machine) ask(o Op) {
	m.ops = append(m.ops, o)
	m.do(Effect{Kind: Send, Op: &m.ops[len(m.ops)-1]})
}

func (m *Machine) setAlarm(e *Entry, a Alarm, at time.Time) {
	m.do(Effect{Kind: SetAlarm, Alarm: a, Entry: e, At: at})
}

func (m *Machine) clearAlarm(e *Entry, a Alarm) {
	m.do(Effect{Kind: ClearAlarm, Alarm: a, Entry: e})
}
