package hunt

import (
	"bufio"
	"fmt"
	"sync"
	"syscall"
)

// slot runs one process at a time: when one ends, another takes its place.
type slot struct {
	index  int
	work   assignment
	ledger *ledger
	lives  int
	err    error // of run, when it has returned

	mu   sync.Mutex
	now  *process
	over bool
}

// run returns when the slot is over, or a child has ended unasked.
func (s *slot) run() {
	for s.err == nil && s.start() {
		s.ledger.begin()
		readErr := s.ledger.read(bufio.NewReaderSize(s.now.out, 1<<18))
		if err := s.now.wait(); err != nil {
			s.err = fmt.Errorf("process %d of slot %d: %w", s.lives, s.index, err)
		} else if readErr != nil {
			s.err = fmt.Errorf("process %d of slot %d: %w", s.lives, s.index, readErr)
		}
	}
}

// start starts a process unless the slot is over.
func (s *slot) start() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return false
	}
	s.lives++
	work := s.work
	work.Seed += uint64(s.lives)<<32 | uint64(s.index)<<16
	s.now, s.err = startProcess(work)
	return s.err == nil
}

// process returns the one that runs, if any, or the last.
func (s *slot) process() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// end lets no other process follow, and asks the one that runs to leave.
func (s *slot) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.now != nil {
		s.now.leave()
	}
}

func (p *process) freeze() { _ = p.handle.Signal(syscall.SIGSTOP) } // os.ErrProcessDone if it has ended
func (p *process) thaw()   { _ = p.handle.Signal(syscall.SIGCONT) }
