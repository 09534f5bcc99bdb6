package remote

import (
	"fmt"
	"strconv"
	"time"
)

// Op is one operation on one key.
type Op struct {
	kind  string
	key   string
	entry Entry
	// a, b, c and d are the operation's own arguments, in the script's order.
	a, b, c, d string
}

// oneToken is how many fencing tokens an owner reserves: each lease serves one
// holder.
const oneToken = "1"

// Acquire asks for the lease. If it is held, the entry joins the queue when
// wait is set, unless queueCap others are in it.
func Acquire(key string, e Entry, wait bool, queueCap int) Op {
	w := "0"
	if wait {
		w = "1"
	}
	return Op{kind: "A", key: key, entry: e, a: w, b: strconv.Itoa(queueCap), c: oneToken}
}

// Release gives the lease back: block is what was reserved for it, used the
// last token given out. If requeue is not empty it joins the queue in the same
// operation.
func Release(key string, e Entry, used uint64, block Block, requeue Entry) Op {
	return Op{
		kind: "R", key: key, entry: e,
		a: strconv.FormatUint(used, 10), b: strconv.FormatUint(block.Last, 10), c: oneToken, d: string(requeue),
	}
}

// ReleaseUnknown releases on behalf of an entry of which only the identity is
// known: if it owns the lease, the lease is given back.
func ReleaseUnknown(key string, id ID) Op {
	return Op{kind: "R", key: key, entry: Placeholder(id), c: oneToken}
}

// Renew prolongs the lease. If refreshed is not empty, its metadata replaces
// the lease's.
func Renew(key string, e, refreshed Entry) Op {
	return Op{kind: "N", key: key, entry: e, a: string(refreshed)}
}

// Cancel gives the entry up, whatever has become of it.
func Cancel(key string, e Entry) Op {
	return Op{kind: "C", key: key, entry: e, c: oneToken}
}

func (o Op) appendTo(k Keyspace, keys []string, args []any) ([]string, []any) {
	n := k.names(o.key)
	return append(keys, n.lease, n.queue, n.fence),
		append(args, o.kind, string(o.entry), o.a, o.b, o.c, o.d)
}

// Block is a range of fencing tokens reserved for one lease.
type Block struct{ First, Last uint64 }

// Status is what an operation came to.
type Status uint8

// The statuses, by operation.
const (
	Granted  Status = iota + 1 // acquire: the entry owns the lease
	Waiting                    // acquire: it is in the queue
	Held                       // acquire: another owns the lease, and it does not wait
	Full                       // acquire: the queue is at its cap
	Released                   // release, cancel: the lease was ours and is given back
	Missing                    // release: the lease had expired
	Lost                       // release, renew: the lease is not ours
	Renewed                    // renew
	Left                       // cancel: it was in the queue
	Absent                     // cancel: it was neither in the queue nor the owner
)

// Reply is the server's answer to one operation.
type Reply struct {
	Status Status
	// Block is set when Granted.
	Block Block
	// Ticket is the place in line, when Waiting.
	Ticket string
	// TTL is what remains of the lease of who is in the way; negative if it has
	// no expiry. When Waiting, Held or Full.
	TTL time.Duration
	// Position is the place in the queue, from 1, when Waiting.
	Position int
	// Queued is how many entries wait.
	Queued int
	// Owner is who is in the way. When Waiting, Held or Full.
	Owner Entry
	// Requeued is the reply for the entry that a release was to queue.
	Requeued *Reply
}

// ScriptError is an error that the server raised for one operation, such as
// OOM or WRONGTYPE. Nothing is known of how far the operation went.
type ScriptError struct{ Text string }

func (e *ScriptError) Error() string { return "redis: " + e.Text }

func parseReply(v any) (Reply, error) {
	list, _ := v.([]any)
	f := make([]string, len(list))
	for i, v := range list {
		f[i], _ = v.(string)
	}
	return parseFields(f)
}

func parseFields(f []string) (Reply, error) {
	if len(f) == 0 {
		return Reply{}, fmt.Errorf("redis: malformed reply %q", f)
	}
	p := fields{rest: f[1:]}
	var r Reply
	switch f[0] {
	case "granted":
		r = Reply{Status: Granted, Block: Block{First: p.uint(), Last: p.uint()}, Queued: p.int()}
	case "waiting":
		r = Reply{Status: Waiting, Ticket: p.string(), TTL: p.millis(), Position: p.int(), Queued: p.int(), Owner: Entry(p.string())}
	case "held":
		r = Reply{Status: Held, TTL: p.millis(), Queued: p.int(), Owner: Entry(p.string())}
	case "full":
		r = Reply{Status: Full, TTL: p.millis(), Queued: p.int(), Owner: Entry(p.string())}
	case "released", "missing":
		if r.Status = Released; f[0] == "missing" {
			r.Status = Missing
		}
		switch {
		case len(p.rest) == 0:
		case p.rest[0] == "granted", p.rest[0] == "waiting":
			q, err := parseFields(p.rest)
			if err != nil {
				return Reply{}, err
			}
			p.rest, r.Requeued = nil, &q
		default:
			p.bad = true
		}
	case "lost":
		r = Reply{Status: Lost}
	case "renewed":
		r = Reply{Status: Renewed, Queued: p.int()}
	case "left":
		r = Reply{Status: Left}
	case "absent":
		r = Reply{Status: Absent}
	case "error":
		return Reply{}, &ScriptError{Text: p.string()}
	default:
		p.bad = true
	}
	if p.bad || len(p.rest) > 0 {
		return Reply{}, fmt.Errorf("redis: malformed reply %q", f)
	}
	return r, nil
}

// fields reads typed values from a reply, and remembers whether one was bad.
type fields struct {
	rest []string
	bad  bool
}

func (p *fields) string() string {
	if len(p.rest) == 0 {
		p.bad = true
		return ""
	}
	s := p.rest[0]
	p.rest = p.rest[1:]
	return s
}

func (p *fields) int() int {
	n, err := strconv.Atoi(p.string())
	p.bad = p.bad || err != nil
	return n
}

func (p *fields) uint() uint64 {
	n, err := strconv.ParseUint(p.string(), 10, 64)
	p.bad = p.bad || err != nil
	return n
}

func (p *fields) millis() time.Duration { return time.Duration(p.int()) * time.Millisecond }
