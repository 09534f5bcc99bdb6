package backend_test

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

const (
	// future is a fencing counter that stands years ahead of the clock.
	future = uint64(4_000_000_000_000_000)
	// last is the greatest token: beyond it, Lua's numbers are not exact.
	last = uint64(1<<53 - 1)
)

func (s *stage) setFence(v any) {
	s.Helper()
	if err := s.rdb.Set(s.Context(), s.fence, v, 0).Err(); err != nil {
		s.Fatal(err)
	}
}

func (s *stage) wantFence(want uint64) {
	s.Helper()
	if got := ok(s.rdb.Get(s.Context(), s.fence).Result())(s); got != strconv.FormatUint(want, 10) {
		s.Errorf("counter %q, want %d", got, want)
	}
}

func TestTokenIsTheServersTimeInMicroseconds(t *testing.T) {
	onBoth(t, func(s *stage) {
		before := ok(s.rdb.Time(s.Context()).Result())(s).UnixMicro()
		_, r := s.hold()
		after := ok(s.rdb.Time(s.Context()).Result())(s).UnixMicro()
		if got := int64(r.Tokens.First); got < before || got > after {
			s.Errorf("token %d, want %d to %d", got, before, after)
		}
		s.wantFence(r.Tokens.Last)
	})
}

func TestTokenIsOneMoreThanTheLastIfThatIsAheadOfTheClock(t *testing.T) {
	onBoth(t, func(s *stage) {
		s.setFence(future)
		e, r := s.hold()
		if want := (backend.TokenRange{First: future + 1, Last: future + 1}); r.Tokens != want {
			s.Errorf("tokens %+v, want %+v", r.Tokens, want)
		}
		again := s.must(backend.Granted, s.acquire(e.Wanting(64)))
		if want := (backend.TokenRange{First: future + 2, Last: future + 65}); again.Tokens != want {
			s.Errorf("tokens %+v, want %+v", again.Tokens, want)
		}
		s.wantFence(future + 65)
	})
}

func TestTokensOfOneMicrosecondRise(t *testing.T) {
	onBoth(t, func(s *stage) {
		e := newProcess(s).entry("")
		var ops []backend.Op
		for range 20 {
			ops = append(ops, s.acquire(e.Wanting(3)))
		}
		var end uint64
		for _, a := range ok(s.be.RoundTrip(s.Context(), ops...))(s) {
			if a.Err != nil {
				s.Fatal(a.Err)
			}
			b := a.Reply.Tokens
			if b.Last != b.First+2 || end != 0 && b.First != end+1 {
				s.Errorf("tokens %+v after %d", b, end)
			}
			end = b.Last
		}
	})
}

// One counter serves all keys of a bucket; a counter that is lost starts at the
// clock, which is ahead of it as long as it was not ahead of the clock.
func TestTokensRiseAfterTheServerHasLostItsData(t *testing.T) {
	onBoth(t, func(s *stage) {
		e, first := s.hold()
		for range 10 {
			first = s.must(backend.Granted, s.acquire(e))
		}
		s.rdb.FlushAll(s.Context())
		_, second := s.hold()
		if second.Tokens.First <= first.Tokens.Last {
			s.Errorf("tokens %+v after %+v", second.Tokens, first.Tokens)
		}
	})
}

func TestTokensRiseWhenTheClockIsSetBack(t *testing.T) {
	s := onMini(t)
	start := time.Now()
	s.mini.SetTime(start)
	e, first := s.hold()
	s.mini.SetTime(start.Add(-time.Hour))
	again := s.must(backend.Granted, s.acquire(e))
	if again.Tokens.First != first.Tokens.Last+1 {
		t.Errorf("tokens %+v after %+v", again.Tokens, first.Tokens)
	}
}

func TestUnusedTokensGoBackIfTheCounterStillStandsAtTheirEnd(t *testing.T) {
	onBoth(t, func(s *stage) {
		s.setFence(future)
		for _, waiting := range []bool{false, true} {
			e := newProcess(s).entry("")
			r := s.must(backend.Granted, s.acquire(e.Wanting(64)))
			used := r.Tokens.First + 2
			if waiting {
				next := newListening(s).entry("")
				s.must(backend.Waiting, s.acquire(next))
				s.must(backend.Released, backend.Release(s.names, e.ID(), used, r.Tokens.Last, ""))
				s.wantFence(used + 1) // the next owner's
				s.must(backend.Released, backend.Cancel(s.names, next))
				continue
			}
			s.must(backend.Released, backend.Release(s.names, e.ID(), used, r.Tokens.Last, ""))
			s.wantFence(used)
		}
	})
}

func TestUnusedTokensStayIfSomebodyReservedSince(t *testing.T) {
	onBoth(t, func(s *stage) {
		s.setFence(future)
		e := newProcess(s).entry("")
		r := s.must(backend.Granted, s.acquire(e.Wanting(64)))
		since := s.must(backend.Granted, s.acquire(e)) // or for another key of the bucket
		s.must(backend.Released, backend.Release(s.names, e.ID(), r.Tokens.First, r.Tokens.Last, ""))
		s.wantFence(since.Tokens.Last)
	})
}

// A release that is repeated, or late, must not set the counter back under
// tokens that another has been given.
func TestTokensGoBackOnlyWithTheLease(t *testing.T) {
	onBoth(t, func(s *stage) {
		s.setFence(future)
		e := newProcess(s).entry("")
		r := s.must(backend.Granted, s.acquire(e.Wanting(64)))
		s.expire()
		s.must(backend.Missing, backend.Release(s.names, e.ID(), r.Tokens.First, r.Tokens.Last, ""))
		s.wantFence(r.Tokens.Last)
		s.rdb.Del(s.Context(), s.fence)
		s.setFence(r.Tokens.Last)
		s.rdb.Set(s.Context(), s.lease, string(newProcess(s).entry("")), ttl)
		s.must(backend.Lost, backend.Release(s.names, e.ID(), r.Tokens.First, r.Tokens.Last, ""))
		s.wantFence(r.Tokens.Last)
	})
}

func TestLastTokenIsExactAndTheOneAfterItIsRefused(t *testing.T) {
	onBoth(t, func(s *stage) {
		s.setFence(last - 1)
		e, r := s.hold()
		if want := (backend.TokenRange{First: last, Last: last}); r.Tokens != want {
			s.Errorf("tokens %+v, want %+v", r.Tokens, want)
		}
		s.wantFence(last)
		s.must(backend.Released, s.release(e, r))
		for _, counter := range []string{
			fmt.Sprint(last), fmt.Sprint(last + 1), fmt.Sprint(last + 2), "9999999999999999",
		} {
			s.setFence(counter)
			s.wantRefused(s.acquire(e))
		}
		s.setFence(last - 1)
		s.wantRefused(s.acquire(e.Wanting(2)))
	})
}

// wantRefused fails the test unless op is answered by an error and changes
// nothing.
func (s *stage) wantRefused(op backend.Op) {
	s.Helper()
	before := s.dump()
	r, err := s.ask(op)
	if _, ok := errors.AsType[*backend.ScriptError](err); !ok {
		s.Errorf("%+v, %v; want a ScriptError", r, err)
	}
	if after := s.dump(); after != before {
		s.Errorf("changed from\n%q to\n%q", before, after)
	}
}

// spoiltCounters is what may be wrong with a counter, so that no token can be had.
var spoiltCounters = map[string]func(s *stage){
	"beyond 2^53": func(s *stage) { s.setFence("9007199254740993") },
	"not a string": func(s *stage) {
		s.rdb.Del(s.Context(), s.fence)
		s.rdb.RPush(s.Context(), s.fence, "x")
	},
}

// Without a token there is no grant. But whoever gives a lease up has it no more,
// and those in line keep their places until an operator has mended the counter.
func TestALeaseIsGivenUpAlsoIfNobodyCanBeGrantedIt(t *testing.T) {
	for name, spoil := range spoiltCounters {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(s *stage) {
				for way, giveUp := range map[string]func(backend.Entry, backend.Reply){
					"release": func(e backend.Entry, r backend.Reply) { s.must(backend.Released, s.release(e, r)) },
					"release that gives tokens back": func(e backend.Entry, r backend.Reply) {
						s.must(backend.Released, backend.Release(s.names, e.ID(), r.Tokens.First, r.Tokens.First+9, ""))
					},
					"release and queue": func(e backend.Entry, r backend.Reply) {
						if r := s.must(backend.Released, s.pass(e, r, newProcess(s).entry(""))); r.Requeued != nil {
							s.Errorf("requeued %+v", r.Requeued)
						}
					},
					"cancel":        func(e backend.Entry, _ backend.Reply) { s.must(backend.Released, backend.Cancel(s.names, e)) },
					"break at once": func(e backend.Entry, _ backend.Reply) { s.must(backend.Broken, backend.Break(s.names, e.ID(), true)) },
				} {
					s.Logf("%s", way)
					s.use(way)
					s.rdb.Del(s.Context(), s.fence)
					owner, r := s.hold()
					p := newListening(s)
					first, second := p.entry(""), newListening(s).entry("")
					s.must(backend.Waiting, s.acquire(first))
					s.must(backend.Waiting, s.acquire(second))
					spoil(s)
					giveUp(owner, r)
					s.wantNoLease()
					s.wantQueue(first, second)
					p.wantHeard()
					s.must(backend.Missing, s.release(owner, r)) // again: it is gone
					s.wantQueue(first, second)

					s.rdb.Del(s.Context(), s.fence) // it is mended
					if g := s.must(backend.Granted, s.acquire(first)); g.Queued != 1 {
						s.Errorf("granted %+v", g)
					}
				}
			})
		})
	}
}

// Otherwise what was is left as it was: a lease that is held is not lost to an
// error that only an operator can mend.
func TestCounterThatIsNoneChangesNothing(t *testing.T) {
	for name, spoil := range spoiltCounters {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(s *stage) {
				spoil(s)
				s.wantRefused(s.acquire(newProcess(s).entry("")))
				s.rdb.Del(s.Context(), s.fence)

				owner, _ := s.hold()
				first, second := newListening(s).entry(""), newListening(s).entry("")
				s.must(backend.Waiting, s.acquire(first))
				s.must(backend.Waiting, s.acquire(second))
				spoil(s)
				s.must(backend.Renewed, backend.Renew(s.names, owner, "", 0)) // takes no token
				s.expire()
				s.wantRefused(s.acquire(first))
				s.wantRefused(s.acquire(newProcess(s).entry("")))
				s.rdb.Del(s.Context(), s.fence)
				s.must(backend.Granted, s.acquire(first))
				s.must(backend.Left, backend.Cancel(s.names, second))

				spoil(s)
				// A release that nobody waits for takes none either.
				s.must(backend.Released, backend.Release(s.names, first.ID(), 1, 9, ""))
				s.wantNoLease()
			})
		})
	}
}

func TestCounterThatIsNoNumberStartsAtTheClock(t *testing.T) {
	onBoth(t, func(s *stage) {
		for _, counter := range []string{"", "x", "12 monkeys", "-5", "nan"} {
			s.setFence(counter)
			now := ok(s.rdb.Time(s.Context()).Result())(s).UnixMicro()
			e, r := s.hold()
			if int64(r.Tokens.First) < now {
				s.Errorf("counter %q: token %d, before %d", counter, r.Tokens.First, now)
			}
			s.wantFence(r.Tokens.Last)
			s.must(backend.Released, s.release(e, r))
		}
	})
}
