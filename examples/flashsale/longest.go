package main

import (
	"fmt"
	"sync"

	"github.com/latchkey-go/latchkey/core"
)

// longestWait remembers, over both replicas, the request that waited longest
// for its lock, with what the lock told about the wait.
type longestWait struct {
	mu        sync.Mutex
	requestID string
	info      core.Info
}

func (l *longestWait) note(requestID string, info core.Info) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.requestID == "" || info.Waited > l.info.Waited {
		l.requestID, l.info = requestID, info
	}
}

// explain tells the story of the wait, in one sentence; "" if there was none.
func (l *longestWait) explain() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.requestID == "":
		return ""
	case !l.info.Contended:
		return fmt.Sprintf("Request %s waited longest for the lock, %v, though nobody was ahead of it: that is a trip to Redis.",
			l.requestID, milliseconds(l.info.Waited))
	}
	s := fmt.Sprintf("Request %s waited longest for the lock, %v. It came in as number %d in line",
		l.requestID, milliseconds(l.info.Waited), l.info.Position)
	if b := l.info.Blocker; b != nil && b.RequestID != "" {
		s += fmt.Sprintf(", while request %s held the lock", b.RequestID)
	}
	if p := l.info.Predecessor; p != nil && p.RequestID != "" {
		s += fmt.Sprintf("; request %s held it directly before", p.RequestID)
	}
	return s + fmt.Sprintf(" (handoff: %s).", l.info.Handoff)
}
