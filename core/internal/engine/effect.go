package engine

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Effect is one thing to be done in answer to an event. Those of one Step are to be
// carried out in their order, and before the next Step; but code that is not ours,
// which [Stop] and [Renewed] may run, afterwards.
type Effect struct {
	Kind EffectKind
	// Alarm is which to set, for At, or to clear; of Entry, Request, Cleanup or
	// Subscription.
	Alarm Alarm
	// Refusal is why a request goes away; Cause, if it is known, what is behind it.
	// Obstacle is what stood in its way.
	Refusal Refusal
	// Handoff, From and Token are of a grant.
	Handoff Handoff
	Token   uint64
	From    any
	// Op is what to send. Like Obstacle, it is valid until the next Step.
	Op           *Op
	Entry        *Entry
	Request      *Request
	Cleanup      *Cleanup
	Subscription *Subscription
	Obstacle     *Obstacle
	Cause        error
	// Holder is whom Stop, Renewed and Released are for.
	Holder any
	// At is when an alarm is to go off; or when a question was sent whose answer shows
	// that a subscription is gone.
	At time.Time
}

// EffectKind is what to do.
type EffectKind uint8

// The effects.
const (
	Send          EffectKind = iota // send Op; its answer is an event
	SetAlarm                        // when At has come, that is an event
	ClearAlarm                      // it is not to come, but may
	Grant                           // Request holds the lock, by the lease of Entry
	Refuse                          // Request goes away
	Notify                          // tell Request's observer that it has to wait
	Stop                            // tell Holder to stop, for Cause
	Renewed                         // tell Holder what a renewal came to: Cause, nil for good
	Released                        // tell Holder's Release what it came to: Cause
	Subscribe                       // open Subscription
	Unsubscribe                     // shut it
	Resubscribe                     // subscribe anew: at At, another server had the subscription
	ReleaseOrphan                   // release what a message has named: nobody here has it
)

var effectNames = [...]string{
	"send", "set", "clear", "grant", "refuse", "notify", "stop", "renewed", "released", "subscribe", "unsubscribe", "resubscribe", "release-orphan",
}

// Alarm is one of the alarms that things have.
type Alarm uint8

// The alarms.
const (
	Next     Alarm = iota // of an entry: the next poll, or renewal once it is held
	Expiry                // of an entry: the end of its proof
	MaxHold               // of an entry: the end of the present holder's time
	Patience              // of a request: the end of its longest wait
	Retry                 // of a cleanup
	Idle                  // of a subscription: nobody may have needed it for long
	Check                 // of a subscription: ask whether Redis knows of it
)

var alarmNames = [...]string{"next", "expiry", "max-hold", "patience", "retry", "idle", "check"}

// Refusal is why a request goes away without the lock.
type Refusal uint8

// The refusals.
const (
	NotRefused Refusal = iota
	Held               // another has it, and the request does not wait
	QueueFull          // too many wait
	TimedOut           // its longest wait is over
	Backend            // Redis does not answer
	Closed             // the process's locks are at their end
)

var refusalNames = [...]string{"not refused", "held", "queue full", "timed out", "backend", "closed"}

// The causes that the machine itself finds.
var (
	ErrLost      = errors.New("the lease is lost")
	ErrBroken    = errors.New("the lease is broken")
	ErrBrokenNow = errors.New("the lease is broken at once")
	ErrMaxHold   = errors.New("the holder's time is over")
	ErrCutOff    = errors.New("the lease is given back at the end")

	ErrNoAnswer   = errors.New("no answer in time")
	ErrNotSent    = errors.New("not sent: so much is asked at a time")
	ErrManyWait   = errors.New("as many as may wait in one process")
	ErrLapsed     = errors.New("answers come later than the lease lasts")
	ErrUnexpected = errors.New("unexpected answer to an acquire")
)

// Handoff is how a lease came to a holder.
type Handoff uint8

// The handoffs.
const (
	None   Handoff = iota // it was free
	Local                 // from another request of this process
	Remote                // from another process
)

var handoffNames = [...]string{"none", "local", "remote"}

// Obstacle is what stood in the way of a request that is refused, for a guess at when
// to come again.
type Obstacle struct {
	Holder any           // the holder in this process, nil if there is none
	Age    time.Duration // for how long Holder has
	Ending bool          // it will not be renewed; Bound is what is left of it
	// Remote is set if an answer has told of another process's lease; Bound is what
	// was left of that, negative if it has no expiry.
	Remote bool
	Bound  time.Duration
	Ahead  int // who would have come first, beside the holder
}

// Op is an operation to be sent. Its answer comes back with it.
type Op struct {
	Kind  OpKind
	Entry *Entry
	// Wait has an acquire join the queue.
	Wait bool
	// Tokens is how many more a renewal reserves; Refresh has it put the present
	// holder's metadata in the place of the lease's; Confirm is the grant that it has
	// replicas acknowledge.
	Tokens  int
	Refresh bool
	Confirm *Confirmation
	Release *Release
	Cleanup *Cleanup
	// Subscription is which to ask about.
	Subscription *Subscription
}

// OpKind is what an operation does, see core/internal/backend.
type OpKind uint8

// The operations.
const (
	OpAcquire OpKind = iota
	OpRenew
	OpRelease
	OpCancel
	OpListening
)

var opNames = [...]string{"acquire", "renew", "release", "cancel", "listening"}

// Confirmation is a grant by message that replicas are to acknowledge.
type Confirmation struct {
	Tokens TokenRange
	Since  time.Time // a moment before it
	Queued int
	From   any
}

// Release is a lease on its way back.
type Release struct {
	Entry *Entry
	// Used and Reserved are the fencing tokens that it gives back, see
	// backend.Release.
	Used, Reserved uint64
	// Next is the entry that is to be queued with it; nil if there is none, or
	// Requeue is not set: then it is asked for afterwards.
	Next    *Entry
	Requeue bool
	// NameHolder has the next owner told of Holder, whom the lease does not name.
	NameHolder bool
	Holder     any
	lost       bool // before it was released
	proven     bool // it was proven to be ours when it was released
}

func (o *Op) String() string {
	var b strings.Builder
	b.WriteString(opNames[o.Kind])
	if o.Entry != nil {
		fmt.Fprintf(&b, " %v", o.Entry)
	}
	if o.Wait {
		b.WriteString(" wait")
	}
	if o.Tokens > 0 {
		fmt.Fprintf(&b, " tokens=%d", o.Tokens)
	}
	if o.Refresh {
		b.WriteString(" refresh")
	}
	if o.Confirm != nil {
		b.WriteString(" confirm")
	}
	if r := o.Release; r != nil {
		if r.Used < r.Reserved {
			fmt.Fprintf(&b, " unused=%d..%d", r.Used+1, r.Reserved)
		}
		if r.Next != nil && r.Requeue {
			fmt.Fprintf(&b, " queue %v", r.Next)
		}
		if r.NameHolder {
			b.WriteString(" from-holder")
		}
	}
	return b.String()
}

// Text describes f, with times as what is left of them at now.
func (f *Effect) Text(now time.Time) string {
	var b strings.Builder
	b.WriteString(effectNames[f.Kind])
	switch f.Kind {
	case Send:
		fmt.Fprintf(&b, " %v", f.Op)
	case SetAlarm, ClearAlarm:
		fmt.Fprintf(&b, " %s of %s", alarmNames[f.Alarm], f.subject())
		if f.Kind == SetAlarm {
			fmt.Fprintf(&b, " in %v", f.At.Sub(now))
		}
	case Grant:
		fmt.Fprintf(&b, " %v token=%d by %v", f.Request, f.Token, f.Entry)
		if f.Handoff != None {
			fmt.Fprintf(&b, " handoff=%s", handoffNames[f.Handoff])
		}
	case Refuse:
		fmt.Fprintf(&b, " %v: %s", f.Request, refusalNames[f.Refusal])
		if f.Cause != nil {
			fmt.Fprintf(&b, " (%v)", f.Cause)
		}
	case Notify:
		fmt.Fprintf(&b, " %v", f.Request)
	case Stop, Renewed, Released:
		fmt.Fprintf(&b, " %v", f.Holder)
		if f.Cause != nil {
			fmt.Fprintf(&b, ": %v", f.Cause)
		}
	}
	return b.String()
}

// subject names what f's alarm is of.
func (f *Effect) subject() string {
	switch {
	case f.Entry != nil:
		return f.Entry.String()
	case f.Request != nil:
		return f.Request.String()
	case f.Cleanup != nil:
		return "cleanup of " + f.Cleanup.Entry.String()
	}
	return "subscription"
}
