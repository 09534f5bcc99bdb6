package backend_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

func TestErrorOfOneOperationLeavesItsNeighboursAlone(t *testing.T) {
	onBoth(t, func(s *stage) {
		s.use("bad")
		s.rdb.RPush(s.Context(), s.lease, "a list")
		a, b := newProcess(s).entry(""), newProcess(s).entry("")
		answers := ok(s.be.RoundTrip(s.Context(),
			backend.Acquire(s.be.Names("good"), a, true, manyMay),
			backend.Acquire(s.be.Names("bad"), a, true, manyMay),
			backend.Release(s.be.Names("bad"), a.ID(), 1, 1, b),
			backend.Renew(s.be.Names("bad"), a, "", 0),
			backend.Cancel(s.be.Names("bad"), a),
			backend.Acquire(s.be.Names("good"), b, true, manyMay),
		))(s)
		for i, want := range []backend.Status{backend.Granted, 0, 0, 0, 0, backend.Waiting} {
			a := answers[i]
			if a.Reply.Status != want {
				s.Errorf("operation %d: %+v, want status %d", i, a, want)
			}
			if want != 0 {
				continue
			}
			if e, ok := errors.AsType[*backend.ScriptError](a.Err); !ok || !strings.Contains(e.Text, "WRONGTYPE") {
				s.Errorf("operation %d: %v, want WRONGTYPE", i, a.Err)
			}
		}
	})
}

func TestQueueOfAnotherTypeIsAnErrorAndChangesNothing(t *testing.T) {
	onBoth(t, func(s *stage) {
		s.hold()
		s.rdb.Set(s.Context(), s.queue, "a string", 0)
		s.wantRefused(s.acquire(newProcess(s).entry("")))
		s.expire()
		s.wantRefused(s.acquire(newProcess(s).entry("")))
	})
}

func TestALeaseIsGivenUpWhateverStandsInThePlaceOfItsQueue(t *testing.T) {
	onBoth(t, func(s *stage) {
		for name, giveUp := range map[string]func(backend.Entry, backend.Reply){
			"release": func(e backend.Entry, r backend.Reply) { s.must(backend.Released, s.release(e, r)) },
			"release and queue": func(e backend.Entry, r backend.Reply) {
				if r := s.must(backend.Released, s.pass(e, r, newProcess(s).entry(""))); r.Requeued != nil {
					s.Errorf("requeued %+v", r.Requeued)
				}
			},
			"cancel":        func(e backend.Entry, _ backend.Reply) { s.must(backend.Released, backend.Cancel(s.names, e)) },
			"break at once": func(e backend.Entry, _ backend.Reply) { s.must(backend.Broken, backend.Break(s.names, e.ID(), true)) },
		} {
			s.Logf("%s", name)
			s.use(name)
			owner, r := s.hold()
			s.must(backend.Waiting, s.acquire(newProcess(s).entry("")))
			s.rdb.Set(s.Context(), s.queue, "a string", 0)
			giveUp(owner, r)
			s.wantNoLease()
		}
	})
}

func TestScriptsAreLoadedAgainIfTheServerHasForgottenThem(t *testing.T) {
	onBoth(t, func(s *stage) {
		e, _ := s.hold()
		if err := s.rdb.ScriptFlush(s.Context()).Err(); err != nil {
			s.Fatal(err)
		}
		s.must(backend.Renewed, backend.Renew(s.names, e, "", 0))
	})
}

func TestServerThatIsRestartedIsFoundAgain(t *testing.T) {
	s := onRedis(t)
	_, first := s.hold()
	s.real.Restart()
	_, second := s.hold() // its data is gone
	if second.Tokens.First <= first.Tokens.Last {
		t.Errorf("tokens %+v after %+v", second.Tokens, first.Tokens)
	}
}

// After a failover, a connection to the old primary is of no use: the client
// gives one up when it sees READONLY, and dials again, to whoever has the
// address now. It must see it.
func TestConnectionToADemotedServerIsGivenUp(t *testing.T) {
	s := onRedis(t)
	dials := 0
	rdb := s.real.Client(&redis.Options{
		PoolSize: 1, MaxRetries: -1,
		OnConnect: countDials(&dials),
	})
	be := backend.New(rdb, prefix)
	defer closeBackend(t, be)
	s.be = be
	e, r := s.hold()
	if dials != 1 {
		t.Fatalf("%d connections, want 1", dials)
	}
	if err := s.rdb.ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil { // where nobody is
		t.Fatal(err)
	}
	if got, err := s.ask(s.release(e, r)); err == nil {
		t.Fatalf("a replica has carried out a release: %+v", got)
	}
	if err := s.rdb.ReplicaOf(t.Context(), "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
	s.must(backend.Released, s.release(e, r))
	if dials != 2 {
		t.Errorf("%d connections, want another one", dials)
	}
}
