//go:build unix

package locktest

import (
	"syscall"
	"time"
)

// stopTimeout bounds the wait for a stop signal to take effect.
const stopTimeout = 5 * time.Second

// Stop freezes the process with SIGSTOP and returns when it stands still: its
// connections stay open and accept bytes, and nothing is answered. Expiries go
// on by the clock.
func (r *Redis) Stop() {
	r.tb.Helper()
	r.frozen.Store(true)
	if err := r.proc.Load().handle.Signal(syscall.SIGSTOP); err != nil {
		r.tb.Fatalf("locktest: stop redis-server: %v", err)
	}
	deadline := time.NewTimer(stopTimeout)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		stopped, err := r.proc.Load().stopped()
		if err != nil {
			r.tb.Fatalf("locktest: stop redis-server: %v", err)
		}
		if stopped {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			r.tb.Fatalf("locktest: redis-server has not stopped within %v", stopTimeout)
		}
	}
}

// Continue lets a stopped process go on with SIGCONT.
func (r *Redis) Continue() {
	r.tb.Helper()
	if err := r.proc.Load().handle.Signal(syscall.SIGCONT); err != nil {
		r.tb.Fatalf("locktest: continue redis-server: %v", err)
	}
	r.frozen.Store(false)
}
