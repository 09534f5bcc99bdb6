package scriptmodel

// Status is what an operation came to, as in the script.
type Status uint8

// The statuses.
const (
	Granted Status = iota + 1
	Waiting
	Held
	Full
	Released
	Missing
	Lost
	Renewed
	Left
	Absent
	Broken
)

// Reply is the answer to one operation. What a status does not come with is zero.
type Reply struct {
	Status Status
	Tokens Range
	// Ticket and Position are the place in line; Heard is whether its process listens.
	Ticket   uint64
	Position int
	Heard    bool
	Queued   int
	// Owner is who is in the way, with what remains of the lease.
	Owner Lease
	// Requeued is the reply for the entry that a release was to queue.
	Requeued *Reply
}

// Acquire has e ask for the lease, for the first time or again; if it is held, it joins
// the queue unless that has so many others. A limit of 0 does not wait.
func (s *Server) Acquire(k *Key, e Entry, limit int) Reply {
	if !k.Lease.Held {
		if p := s.pass(k, "", &e, 0); p.toOwn {
			return Reply{Status: Granted, Tokens: p.tokens, Queued: p.waiting}
		}
	}
	blocked := Reply{Owner: k.Lease, Queued: len(k.Queue)}
	switch {
	case k.owned(e.ID) && k.Lease.Broken:
		return Reply{Status: Broken}
	case k.owned(e.ID):
		// The answer or the grant was lost.
		k.Lease.Left = e.TTL
		return Reply{Status: Granted, Tokens: s.reserve(k, e.Tokens), Queued: k.contenders()}
	case limit == 0:
		blocked.Status = Held
		return blocked
	case k.position(e) == 0 && len(k.Queue) >= limit:
		blocked.Status = Full
		return blocked
	}
	owner := k.Lease
	ticket, added := s.enqueue(k, e)
	if added {
		k.Lease.Contended = true
	}
	s.tell(Contended, owner.ID)
	return s.waiting(k, e, ticket, owner)
}

// contenders is how many wait, as far as the lease tells.
func (k *Key) contenders() int {
	if !k.Lease.Contended {
		return 0
	}
	return len(k.Queue)
}

// waiting is the reply for an entry in the queue. The owner is as it was found.
func (s *Server) waiting(k *Key, e Entry, ticket uint64, owner Lease) Reply {
	return Reply{
		Status: Waiting, Ticket: ticket, Position: k.position(e), Heard: s.Listens(e.Process),
		Queued: len(k.Queue), Owner: owner,
	}
}

// Release gives the lease back, if it is id's, with the tokens after the last one that
// was used, and queues the next entry of the owner's process in the same operation, if
// there is one. from, if it is not nil, is the last holder's metadata.
func (s *Server) Release(k *Key, id ID, used, reserved uint64, next *Entry, from *string) Reply {
	status, last := Missing, ""
	if k.Lease.Held {
		if k.Lease.ID != id {
			return Reply{Status: Lost}
		}
		if used != reserved {
			s.giveBack(k, used, reserved)
		}
		if status, last = Released, k.Lease.Meta; from != nil {
			last = *from
		}
	}
	if next == nil {
		if !k.Lease.Held || k.Lease.Contended {
			s.pass(k, last, nil, 0)
		} else {
			k.Lease = Lease{}
		}
		return Reply{Status: status}
	}
	behind := 1
	if k.position(*next) > 0 {
		behind = 0 // the release is repeated
	}
	if p := s.pass(k, last, next, behind); p.toOwn {
		return Reply{Status: status, Requeued: &Reply{Status: Granted, Tokens: p.tokens, Queued: p.waiting}}
	}
	owner := k.Lease
	ticket, _ := s.enqueue(k, *next)
	requeued := s.waiting(k, *next, ticket, owner)
	return Reply{Status: status, Requeued: &requeued}
}

// Renew prolongs the lease, if it is e's; with refreshed metadata if there are any, and
// with more tokens if any are wanted.
func (s *Server) Renew(k *Key, e Entry, refreshed *Entry, tokens int) Reply {
	switch {
	case !k.owned(e.ID):
		return Reply{Status: Lost}
	case k.Lease.Broken:
		return Reply{Status: Broken}
	}
	k.Lease.Left = e.TTL
	if refreshed != nil {
		k.Lease.Entry = *refreshed
	}
	r := Reply{Status: Renewed, Queued: k.contenders()}
	if tokens > 0 {
		r.Tokens = s.reserve(k, tokens)
	}
	return r
}

// Cancel gives e up, whatever has become of it.
func (s *Server) Cancel(k *Key, e Entry) Reply {
	if k.owned(e.ID) {
		s.pass(k, k.Lease.Meta, nil, 0)
		return Reply{Status: Released}
	}
	r := Reply{Status: Absent}
	if at := k.position(e); at > 0 {
		k.Queue = append(k.Queue[:at-1:at-1], k.Queue[at:]...)
		r.Status = Left
	}
	if !k.Lease.Held && len(k.Queue) > 0 {
		s.pass(k, "", nil, 0)
	}
	return r
}

// Break takes the lease from id: at once, or so that it is prolonged no more.
func (s *Server) Break(k *Key, id ID, atOnce bool) Reply {
	if !k.Lease.Held {
		if len(k.Queue) > 0 {
			s.pass(k, "", nil, 0)
		}
		return Reply{Status: Missing}
	}
	r := Reply{Status: Held, Queued: len(k.Queue), Owner: k.Lease}
	if k.Lease.ID != id {
		return r
	}
	r.Status = Broken
	if atOnce {
		s.pass(k, k.Lease.Meta, nil, 0)
	} else {
		k.Lease.Broken = true
	}
	s.tell(Stop, id)
	return r
}
