package history

import (
	"math"
	"time"
)

// Loss is one time that Redis lost what it knew. What it granted before To it may
// not know from From on.
//
// It does not matter that a log which is synced every second keeps what is older:
// a lease that is in force has been renewed within a third of its TTL, and what is
// lost of it may be that.
type Loss struct {
	From time.Duration // when it was still there
	To   time.Duration // when Redis answers again
	Key  string        // what it lost was of this key only, or "" of all
}

// on is the terms for one key.
func (t Terms) on(key string) Terms {
	var losses []Loss
	for _, l := range t.Forgot {
		if l.Key == "" || l.Key == key {
			losses = append(losses, l)
		}
	}
	t.Forgot = losses
	return t
}

// since is when the request was sent that proved the lock to its holder at first.
// Whoever granted it knew of the lease then, or later: it may have been granted
// long before to another of the process, who has passed it on.
func (t Terms) since(a *Attempt) time.Duration { return a.First - t.Proof }

// Excuse tells whether a loss can be why two held at once: one's lease may be from
// before it, and the other's from after it. All else is a double grant, in the same
// run and on the same key, too.
func (t Terms) Excuse(a, b *Attempt) bool {
	for _, l := range t.Forgot {
		if max(a.Return, b.Return) > l.To+t.Proof {
			continue // what was proven before the loss has lapsed
		}
		if t.since(a) <= l.To && b.Return >= l.From || t.since(b) <= l.To && a.Return >= l.From {
			return true
		}
	}
	return false
}

// Unsure tells whether a loss can be why a, whose lock was returned before b's, came
// after b: b may have been granted it before the loss, and a after it. The other way
// round they came in the order of their returns, as any two do.
func (t Terms) Unsure(a, b *Attempt) bool {
	for _, l := range t.Forgot {
		if t.since(b) <= l.To && a.Return >= l.From {
			return true
		}
	}
	return false
}

// before is the moment before which others must have had the lock to have had it
// before a. That is when a asked; but if a's lease may be one that Redis had forgotten
// and its process has passed on, it is the beginning of that loss.
func (t Terms) before(a *Attempt) time.Duration {
	moment := a.Call
	if t.PassedOn == 0 {
		return moment
	}
	for _, l := range t.Forgot {
		if t.since(a) > l.To || a.Return < l.From {
			continue
		}
		until := l.To + t.PassedOn
		if t.Late != nil {
			until += t.Late(a.Process, l.To, a.Return)
		}
		if a.Return <= until {
			moment = min(moment, l.From)
		}
	}
	return moment
}

// remembered are attempts that were granted by a Redis that forgot nothing
// meanwhile: those between two losses each. Whoever may have been granted the lock
// on either side of one is not among them; what is left of a lock's history without
// some of its holders is a lock's history, too.
func (t Terms) remembered(attempts []*Attempt) [][]*Attempt {
	if len(t.Forgot) == 0 {
		return [][]*Attempt{attempts}
	}
	var parts [][]*Attempt
	from := time.Duration(math.MinInt64)
	for i := range len(t.Forgot) + 1 {
		to := Never
		if i < len(t.Forgot) {
			to = t.Forgot[i].From
		}
		var part []*Attempt
		for _, a := range attempts {
			if a.claims() && t.since(a) > from && a.Return < to {
				part = append(part, a)
			}
		}
		parts = append(parts, part)
		if i < len(t.Forgot) {
			from = t.Forgot[i].To
		}
	}
	return parts
}
