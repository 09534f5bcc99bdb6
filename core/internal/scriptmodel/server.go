package scriptmodel

import "slices"

// Server is what the script asks the server for, beside what stands there.
type Server struct {
	// Now is its time in microseconds, the same during one call.
	Now uint64
	// Listens reports whether a process has its subscription.
	Listens func(process uint8) bool
	// Messages are those that were published, in their order.
	Messages []Message
}

// Message is what is published on the channel of ID's process.
type Message struct {
	Kind MessageKind
	ID   ID
	// Of a grant: the ticket that the entry had, its tokens, how many wait behind it,
	// and the last owner's metadata.
	Ticket uint64
	Tokens Range
	Queued int
	From   string
}

// MessageKind is what a message says.
type MessageKind uint8

const (
	Grant     MessageKind = iota // the entry owns the lease
	Contended                    // another waits for its lease
	Stop                         // an operator has broken its lease
)

// Range is fencing tokens, from First to Last.
type Range struct{ First, Last uint64 }

// reserve takes n fencing tokens. They are above all before, and not below the clock.
func (s *Server) reserve(k *Key, n int) Range {
	first := max(s.Now, k.Fence+1)
	k.Fence = first + uint64(n) - 1
	return Range{first, k.Fence}
}

// giveBack returns the tokens after used, if nobody has reserved any since.
func (s *Server) giveBack(k *Key, used, reserved uint64) {
	if k.Fence == reserved {
		k.Fence = min(used, reserved)
	}
}

// own makes e the owner, with how many wait behind it.
func own(k *Key, e Entry, waiting int) {
	k.Lease = Lease{Entry: e, Held: true, Contended: waiting > 0, Left: e.TTL}
}

// passed is what became of a lease that was free or given up.
type passed struct {
	toOwn   bool // the caller's entry got it
	tokens  Range
	waiting int
}

// pass gives the lease to the first in line who listens, or else to the caller's
// entry, if there is one, which need not: it stands in line, or after all who do. Of
// those in line who do not listen nobody is left. behind is how many the caller will
// add to the queue.
func (s *Server) pass(k *Key, from string, caller *Entry, behind int) passed {
	for len(k.Queue) > 0 {
		head := k.Queue[0]
		k.Queue = slices.Delete(k.Queue, 0, 1)
		left := len(k.Queue)
		switch {
		case caller != nil && head.ID == caller.ID:
			tokens := s.reserve(k, head.Tokens)
			own(k, head.Entry, left)
			return passed{true, tokens, left}
		case s.Listens(head.Process):
			tokens := s.reserve(k, head.Tokens)
			own(k, head.Entry, left+behind)
			s.Messages = append(s.Messages, Message{Grant, head.ID, head.Ticket, tokens, left + behind, from})
			return passed{}
		}
	}
	if caller == nil {
		k.Lease = Lease{}
		return passed{}
	}
	tokens := s.reserve(k, caller.Tokens)
	own(k, *caller, 0)
	return passed{true, tokens, 0}
}

// enqueue puts e at the end of the queue, unless it is in it, and reports whether it
// was not.
func (s *Server) enqueue(k *Key, e Entry) (ticket uint64, added bool) {
	k.QueueLeft = queueTTL
	if at := k.position(e); at > 0 {
		return k.Queue[at-1].Ticket, false
	}
	ticket = s.Now
	if n := len(k.Queue); n > 0 {
		ticket = max(ticket, k.Queue[n-1].Ticket+1)
	}
	k.Queue = append(k.Queue, Place{e, ticket})
	return ticket, true
}

// tell publishes a message without more to say.
func (s *Server) tell(kind MessageKind, id ID) {
	s.Messages = append(s.Messages, Message{Kind: kind, ID: id})
}
