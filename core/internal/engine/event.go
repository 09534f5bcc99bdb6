package engine

import (
	"fmt"
	"strings"
	"time"
)

// Event is one thing that has happened.
type Event struct {
	Kind EventKind
	// Request joins, or leaves.
	Request *Request
	// Alarm is due: of Entry, Request, Cleanup or Subscription.
	Alarm        Alarm
	Entry        *Entry
	Cleanup      *Cleanup
	Subscription *Subscription
	// Op is answered with Answer.
	Op     Op
	Answer Answer
	// Message has come.
	Message *Message
}

// EventKind is what has happened.
type EventKind uint8

// The events.
const (
	Join    EventKind = iota // Request wants the lock on its key
	Leave                    // Request's wait is over, in time or because its context has ended
	Due                      // Alarm is due
	Replied                  // Op is answered, or is not
	Told                     // Message has come
	Unlock                   // the holder by Entry is done
	Up                       // Subscription is confirmed
	Down                     // Subscription has broken
	Close                    // nobody new is served, and nobody waits any more
	CutOff                   // who still holds a lock is to lose it
)

var eventNames = [...]string{"join", "leave", "due", "reply", "message", "release", "up", "down", "close", "cut-off"}

// Answer is what an operation came to.
type Answer struct {
	Reply Reply
	// Err is why there is no answer; Fault, how much is known of what has become of the
	// operation.
	Err   error
	Fault Fault
	// Unacked is set if replicas do not have what was granted or prolonged: then it
	// does not count.
	Unacked error
	// Sent is a moment before it was first sent.
	Sent time.Time
	// Repeated is set if it was sent more than once, for want of an answer.
	Repeated bool
}

// Fault is how far an operation that failed may have gone.
type Fault uint8

// The faults.
const (
	Ambiguous Fault = iota // it may have been done, or be done yet
	Unsent                 // it has not left the process
	Unacked                // it was done, but replicas do not have that
	Ended                  // the backend has closed
)

var faultNames = [...]string{"ambiguous", "unsent", "unacked", "ended"}

// Status is what an operation came to, as the script says it.
type Status uint8

// The statuses, see core/internal/backend.
const (
	NoStatus Status = iota
	StatusGranted
	StatusWaiting
	StatusHeld
	StatusFull
	StatusReleased
	StatusMissing
	StatusLost
	StatusRenewed
	StatusLeft
	StatusAbsent
	StatusBroken
)

var statusNames = [...]string{"?", "granted", "waiting", "held", "full", "released", "missing", "lost", "renewed", "left", "absent", "broken"}

func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("status %d", uint8(s))
}

// Reply is the server's answer to an operation.
type Reply struct {
	Status Status
	// Tokens came with a grant, or a renewal that asked for more.
	Tokens TokenRange
	// Ticket and Position are the place in line. Heard is whether the server knows of
	// the process's subscription.
	Ticket   uint64
	Position int
	Heard    bool
	// Queued is how many wait.
	Queued int
	// Owner is who is in the way, and TTL what is left of the lease; negative if that
	// has no expiry.
	Owner any
	TTL   time.Duration
	// Requeued is the reply for the entry that a release was to queue.
	Requeued *Reply
}

// Message is what another process, or an operator, has published to this one.
type Message struct {
	Kind   MessageKind
	Key    string
	Number uint64 // of the entry
	// Of a grant: the ticket of the entry, its tokens, how many wait behind it, and who
	// held the lock before.
	Ticket uint64
	Tokens TokenRange
	Queued int
	From   any
}

// MessageKind is what a message says.
type MessageKind uint8

// The messages.
const (
	Granted   MessageKind = iota // the entry owns the lease
	Contended                    // another waits for its lease
	Broken                       // an operator has broken its lease
)

var messageNames = [...]string{"granted", "contended", "broken"}

// String describes v.
func (v *Event) String() string {
	var b strings.Builder
	b.WriteString(eventNames[v.Kind])
	switch v.Kind {
	case Join, Leave:
		fmt.Fprintf(&b, " %v", v.Request)
	case Unlock:
		fmt.Fprintf(&b, " %v", v.Entry)
	case Due:
		f := Effect{Entry: v.Entry, Request: v.Request, Cleanup: v.Cleanup, Subscription: v.Subscription}
		fmt.Fprintf(&b, " %s of %s", alarmNames[v.Alarm], f.subject())
	case Replied:
		fmt.Fprintf(&b, " to %v: %v", &v.Op, &v.Answer)
	case Told:
		fmt.Fprintf(&b, " %s e%d", messageNames[v.Message.Kind], v.Message.Number)
	}
	return b.String()
}

// unacked returns a as a failure, if r, its reply or a part of that, does not count
// because replicas do not have it; else a.
func (a *Answer) unacked(r *Reply) *Answer {
	if a.Err != nil || a.Unacked == nil || r.Status != StatusGranted && r.Status != StatusRenewed {
		return a
	}
	return &Answer{Err: a.Unacked, Fault: Unacked, Sent: a.Sent, Repeated: a.Repeated}
}

func (a *Answer) String() string {
	var b strings.Builder
	if a.Err != nil {
		fmt.Fprintf(&b, "%s: %v", faultNames[a.Fault], a.Err)
	} else {
		b.WriteString(a.Reply.Status.String())
		if a.Reply.Requeued != nil {
			b.WriteString(", requeued " + a.Reply.Requeued.Status.String())
		}
	}
	if a.Repeated {
		b.WriteString(", repeated")
	}
	return b.String()
}
