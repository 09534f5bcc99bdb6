package backend

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// TokenRange is a range of fencing tokens reserved for one lease.
type TokenRange struct{ First, Last uint64 }

// Status is what an operation came to.
type Status uint8

// The statuses, by operation.
const (
	Granted   Status = iota + 1 // acquire: the entry owns the lease
	Waiting                     // acquire: it is in the queue
	Held                        // acquire: another owns the lease, and it does not wait; break: another owns it
	Full                        // acquire: the queue is at its cap
	Released                    // release, cancel: the lease was ours and is given back
	Missing                     // release: the lease had expired; break: nobody owns it
	Lost                        // release, renew: the lease is not ours
	Renewed                     // renew
	Left                        // cancel: it was in the queue
	Absent                      // cancel: it was neither in the queue nor the owner
	Broken                      // acquire, renew: the lease is ours, and broken; break: it is broken
	Inspected                   // inspect
	Listening                   // listening

	failed Status = 0 // the operation's error
)

// statuses is the one table of statuses, for Go and for the script: their names there.
var statuses = [...]string{
	failed:    "ERROR",
	Granted:   "GRANTED",
	Waiting:   "WAITING",
	Held:      "HELD",
	Full:      "FULL",
	Released:  "RELEASED",
	Missing:   "MISSING",
	Lost:      "LOST",
	Renewed:   "RENEWED",
	Left:      "LEFT",
	Absent:    "ABSENT",
	Broken:    "BROKEN",
	Inspected: "INSPECTED",
	Listening: "LISTENING",
}

const lastStatus = Status(len(statuses) - 1)

func (s Status) String() string {
	if s > lastStatus {
		return fmt.Sprintf("status %d", uint8(s))
	}
	return statuses[s]
}

// statusWords are the statuses by their names, for the script.
func statusWords() string {
	var numbers []string
	for s := range statuses {
		numbers = append(numbers, strconv.Itoa(s))
	}
	return "local " + strings.Join(statuses[:], ", ") + " = " + strings.Join(numbers, ", ") + "\n"
}

// Reply is the server's answer to one operation.
type Reply struct {
	Status Status
	// Tokens is set when Granted, and when Renewed with more tokens.
	Tokens TokenRange
	// Ticket is the place in line, when Waiting.
	Ticket uint64
	// TTL is what remains of the lease of who is in the way; negative if it has
	// no expiry. When Waiting, Held, Full or Inspected, and when Broken by a break.
	TTL time.Duration
	// Position is the place in the queue, from 1, when Waiting.
	Position int
	// Heard is whether anybody listens on the channel of the process, when Waiting or
	// Listening.
	Heard bool
	// Queued is how many entries wait.
	Queued int
	// Owner is who is in the way. When Waiting, Held or Full, when Broken by a break,
	// and when Inspected: then it is empty if there is no lease.
	Owner Entry
	// Requeued is the reply for the entry that a release was to queue.
	Requeued *Reply
	// Found is what else there is. When Inspected.
	Found *Found
}

// Found is what an inspection finds, beyond the lease.
type Found struct {
	Now   time.Time // by the server's clock
	Token uint64    // the last fencing token of the bucket, 0 if there is none
	Line  []Place   // the first in the queue
}

// Place is one in the queue. It may be anything that another has put there.
type Place struct {
	Since time.Time // by the server's clock; zero if the ticket is none
	Entry Entry
}

// ScriptError is an error that the server raised for one operation, such as
// OOM or WRONGTYPE. Nothing is known of how far the operation went.
type ScriptError struct{ Text string }

func (e *ScriptError) Error() string { return "redis: " + e.Text }

// parseReply reads the answer to one operation: a status, or a list that begins
// with one.
func parseReply(v any) (Reply, error) {
	p := fields{rest: []any{v}}
	if list, ok := v.([]any); ok {
		p.rest = list
	}
	r := p.reply()
	var text string
	if r.Status == failed {
		text = p.string()
	}
	if p.bad || len(p.rest) > 0 {
		return Reply{}, fmt.Errorf("redis: malformed reply %v", v)
	}
	if r.Status == failed {
		return Reply{}, &ScriptError{text}
	}
	return r, nil
}

// fields reads typed values from a reply, and remembers whether one was bad.
type fields struct {
	rest []any
	bad  bool
}

// reply reads a reply, but the text of an error. All that the fields are read
// into is in the order of the script's tables.
func (p *fields) reply() Reply {
	status := p.int()
	switch {
	case status > int64(lastStatus):
		// A token is far above all statuses.
		b := TokenRange{First: uint64(status), Last: uint64(status)}
		return Reply{Status: Granted, Tokens: b}
	case status < int64(failed):
		p.bad = true
		return Reply{}
	}
	r := Reply{Status: Status(status)}
	switch r.Status {
	case Granted:
		r.Tokens, r.Queued = p.block(), p.count()
	case Waiting:
		r.Ticket, r.TTL, r.Position, r.Queued, r.Owner = p.uint(), p.millis(), p.count(), p.count(), Entry(p.string())
		r.Heard = p.count() > 0
	case Held, Full:
		r.TTL, r.Queued, r.Owner = p.millis(), p.count(), Entry(p.string())
	case Broken:
		if len(p.rest) > 0 {
			r.TTL, r.Queued, r.Owner = p.millis(), p.count(), Entry(p.string())
		}
	case Inspected:
		r.TTL, r.Queued, r.Owner, r.Found = p.millis(), p.count(), Entry(p.string()), p.found()
	case Listening:
		r.Heard = p.count() > 0
	case Released, Missing:
		if len(p.rest) > 0 {
			r.Requeued = p.requeued()
		}
	case Renewed:
		r.Queued = p.count()
		if len(p.rest) > 0 {
			r.Tokens = p.block()
		}
	}
	return r
}

func (p *fields) requeued() *Reply {
	list, _ := p.next().([]any)
	within := fields{rest: list}
	q := within.reply()
	if within.bad || len(within.rest) > 0 || q.Status != Granted && q.Status != Waiting {
		p.bad = true
	}
	return &q
}

func (p *fields) found() *Found {
	f := &Found{Now: time.UnixMicro(p.int()), Token: p.uint()}
	list, ok := p.next().([]any)
	p.bad = p.bad || !ok || len(list)%2 != 0
	within := fields{rest: list}
	for !p.bad && len(within.rest) > 0 {
		entry, score := Entry(within.string()), within.string()
		place := Place{Entry: entry}
		// A score is a number with a fraction, to Redis; a ticket has none.
		if us, err := strconv.ParseFloat(score, 64); err == nil && us > 0 && us < 1<<53 {
			place.Since = time.UnixMicro(int64(us))
		}
		f.Line = append(f.Line, place)
		p.bad = p.bad || within.bad
	}
	return f
}

func (p *fields) next() any {
	if len(p.rest) == 0 {
		p.bad = true
		return nil
	}
	v := p.rest[0]
	p.rest = p.rest[1:]
	return v
}

func (p *fields) string() string {
	s, ok := p.next().(string)
	p.bad = p.bad || !ok
	return s
}

func (p *fields) int() int64 {
	n, ok := p.next().(int64)
	p.bad = p.bad || !ok
	return n
}

func (p *fields) uint() uint64 {
	n := p.int()
	p.bad = p.bad || n < 0
	return uint64(n)
}

func (p *fields) count() int { return int(p.uint()) }

func (p *fields) block() TokenRange {
	b := TokenRange{First: p.uint(), Last: p.uint()}
	p.bad = p.bad || b.First > b.Last
	return b
}

func (p *fields) millis() time.Duration { return time.Duration(p.int()) * time.Millisecond }
