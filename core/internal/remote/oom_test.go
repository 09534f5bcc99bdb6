package remote_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/remote"
)

// setMemory sets how much memory the server may use, in bytes; 0 is no limit.
// Any server uses more than one byte: with that limit it is out of memory.
func (s *stage) setMemory(limit string) {
	s.Helper()
	if err := s.rdb.ConfigSet(s.Context(), "maxmemory", limit).Err(); err != nil {
		s.Fatal(err)
	}
}

// wantOOM fails the test unless op is refused for lack of memory, whole.
func (s *stage) wantOOM(op remote.Op) {
	s.Helper()
	_, err := s.ask(op)
	if e, ok := errors.AsType[*remote.ScriptError](err); !ok || !strings.HasPrefix(e.Text, "OOM") {
		s.Errorf("%v, want OOM", err)
	}
	s.wantRefused(op)
}

// A server that is out of memory refuses a script's first write, if that could
// need memory, and lets it finish after that.
func TestOutOfMemory(t *testing.T) {
	s := onRedis(t, "--maxmemory-policy", "noeviction")
	p := newListening(s)
	owner, r := s.hold()
	first, second := p.entry("first"), newProcess(s).entry("second")
	s.must(remote.Waiting, s.acquire(first))
	s.must(remote.Waiting, s.acquire(second))
	free := "another"
	unwaited := newProcess(s).entry("")
	block := s.must(remote.Granted, remote.Acquire(s.room.Names(free), unwaited.Wanting(64), true, manyMay)).Block

	s.setMemory("1")
	t.Run("an acquire is refused and leaves nothing", func(*testing.T) {
		s.wantOOM(remote.Acquire(s.room.Names("third"), newProcess(s).entry(""), true, manyMay))
		s.wantOOM(s.acquire(newProcess(s).entry("")))
	})
	t.Run("who asks again is answered", func(*testing.T) {
		if r := s.must(remote.Waiting, s.acquire(second)); r.Position != 2 {
			t.Errorf("position %d, want 2", r.Position)
		}
		s.must(remote.Granted, s.acquire(owner))
	})
	t.Run("a release that others wait for is refused whole", func(*testing.T) {
		s.wantOOM(s.release(owner, r))
		s.wantOOM(s.pass(owner, r, newProcess(s).entry("")))
		s.wantOOM(remote.Release(s.names, owner.ID(), r.Block.First, r.Block.First+9, ""))
		s.wantOOM(remote.Cancel(s.names, owner))
		s.wantLease(owner, '1', ttl, 0)
		s.wantQueue(first, second)
		p.wantHeard()
	})
	t.Run("a release that nobody waits for works", func(*testing.T) {
		s.must(remote.Released, remote.Release(s.room.Names(free), unwaited.ID(), block.First, block.Last, ""))
		lease, _, _ := s.room.Names(free).Parts()
		if n := s.rdb.Exists(t.Context(), lease).Val(); n != 0 {
			t.Error("the lease is still there")
		}
	})
	t.Run("a renewal works, with metadata too", func(*testing.T) {
		s.rdb.PExpire(t.Context(), s.lease, time.Second)
		refreshed := remote.MakeEntry(owner.ID(), ttl, 1, "new")
		s.must(remote.Renewed, remote.Renew(s.names, owner, refreshed, 0))
		s.wantLease(refreshed, '1', ttl, ttl-5*time.Second)
	})
	t.Run("a waiter can leave", func(*testing.T) {
		s.must(remote.Left, remote.Cancel(s.names, second))
		s.wantQueue(first)
	})

	s.setMemory("0")
	t.Run("all works when there is memory again", func(*testing.T) {
		s.must(remote.Granted, remote.Acquire(s.room.Names("third"), newProcess(s).entry(""), true, manyMay))
		s.must(remote.Released, s.release(owner, r))
		s.wantLease(first, '0', ttl, ttl-5*time.Second)
		s.wantQueue()
	})
}

// The flag may be set for waiters that have gone: then nothing is written.
func TestReleaseWithoutMemoryWhenTheWaitersHaveGone(t *testing.T) {
	s := onRedis(t, "--maxmemory-policy", "noeviction")
	owner := newProcess(s).entry("")
	block := s.must(remote.Granted, s.acquire(owner.Wanting(64))).Block
	gone := newProcess(s).entry("")
	s.must(remote.Waiting, s.acquire(gone))
	s.must(remote.Left, remote.Cancel(s.names, gone))
	s.setMemory("1")
	s.must(remote.Released, remote.Release(s.names, owner.ID(), block.First, block.Last, ""))
	s.wantNoLease()
	s.setMemory("0")
}
