package crowd

import (
	"context"
	"time"
)

// Outcome is how a buyer's one attempt ended. Every buyer has exactly one.
type Outcome uint8

// The outcomes.
const (
	// NotServed: the sale closed before the buyer was let in.
	NotServed Outcome = iota
	// Sold: the buyer was told an order number.
	Sold
	// SoldOut: the buyer was told that there is nothing left.
	SoldOut
	// Denied: the lock turned the buyer away, with a reason.
	Denied
	// GaveUp: the sale closed over the buyer's head, with no answer yet.
	GaveUp
	// Failed: anything else, which is a fault.
	Failed
)

// String is the outcome as the report calls it.
func (o Outcome) String() string {
	switch o {
	case NotServed:
		return "not served"
	case Sold:
		return "sold"
	case SoldOut:
		return "sold out"
	case Denied:
		return "denied"
	case GaveUp:
		return "gave up"
	default:
		return "failed"
	}
}

// Answer is what a buyer was told.
type Answer struct {
	Outcome Outcome
	// OrderID is set if Sold.
	OrderID int64
	// Reason is set if Denied: one of the lock's reasons.
	Reason string
	// Err is set if Failed.
	Err error
}

// Door is a way into the shop.
type Door interface {
	// Buy asks for one item. It returns when it is answered or when ctx ends.
	Buy(ctx context.Context, item, buyer string) Answer
}

// visit is one buyer's attempt.
type visit struct {
	buyer  string
	answer Answer
	took   time.Duration
}

// unanswered is the outcome of a call that ended in err: the buyer gave up if
// it is its own context that ended.
func unanswered(ctx context.Context, err error) Answer {
	if ctx.Err() != nil {
		return Answer{Outcome: GaveUp}
	}
	return Answer{Outcome: Failed, Err: err}
}
