package backend_test

import (
	"slices"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// model is what a key must come to, by the rules of the protocol and without
// any of its means: an owner and a line.
type model struct {
	owner *player   // nil if there is no lease
	broke bool      // the owner's lease is broken
	line  []*player // the first in front

	passed *player // whom the last operation granted by a message, nil for none
	told   int     // how many wait, by that message: who comes in later is noted
}

// player is one entry.
type player struct {
	*process
	entry backend.Entry
	reply backend.Reply // the last that granted it, or made it wait
}

func (p *player) alive() bool { return p.sub != nil }

// next gives the lease to the first in line who hears of it, or else to own, if
// there is one, who need not hear.
func (m *model) next(own *player) {
	m.owner, m.broke = nil, false
	for len(m.line) > 0 && m.owner == nil {
		head := m.line[0]
		m.line = m.line[1:]
		if head == own {
			m.owner = own
			return
		}
		if head.alive() {
			m.owner, m.passed, m.told = head, head, len(m.line)
		}
	}
	if m.owner == nil {
		m.owner = own
	}
}

// join puts p at the end of the line, unless it is in it.
func (m *model) join(p *player) backend.Status {
	if !slices.Contains(m.line, p) {
		m.line = append(m.line, p)
	}
	return backend.Waiting
}

func (m *model) acquire(p *player, wait bool, queueCap int) backend.Status {
	if m.owner == nil {
		m.next(p)
	}
	switch {
	case m.owner == p && m.broke:
		return backend.Broken
	case m.owner == p:
		return backend.Granted
	case !wait:
		return backend.Held
	case !slices.Contains(m.line, p) && len(m.line) >= queueCap:
		return backend.Full
	}
	return m.join(p)
}

// release returns the status of the requeued entry beside the release's, 0 if
// there is none.
func (m *model) release(p, requeue *player) (own, requeued backend.Status) {
	if m.owner != nil && m.owner != p {
		return backend.Lost, 0
	}
	own = backend.Released
	if m.owner == nil {
		own = backend.Missing
	}
	m.next(requeue)
	switch {
	case requeue == nil:
		return own, 0
	case m.owner == requeue:
		return own, backend.Granted
	}
	status := m.join(requeue)
	m.told = len(m.line) // it is not noted
	return own, status
}

func (m *model) renew(p *player) backend.Status {
	switch {
	case m.owner != p:
		return backend.Lost
	case m.broke:
		return backend.Broken
	}
	return backend.Renewed
}

// take is an operator's break.
func (m *model) take(p *player, atOnce bool) backend.Status {
	switch {
	case m.owner == nil:
		m.next(nil)
		return backend.Missing
	case m.owner != p:
		return backend.Held
	case atOnce:
		m.next(nil)
	default:
		m.broke = true
	}
	return backend.Broken
}

func (m *model) cancel(p *player) backend.Status {
	if m.owner == p {
		m.next(nil)
		return backend.Released
	}
	status := backend.Absent
	if i := slices.Index(m.line, p); i >= 0 {
		m.line = slices.Delete(m.line, i, i+1)
		status = backend.Left
	}
	if m.owner == nil {
		m.next(nil)
	}
	return status
}
