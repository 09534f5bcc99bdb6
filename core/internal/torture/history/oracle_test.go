package history

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// grant is an attempt that got the lock, in milliseconds.
func grant(token uint64, call, ret, proven, freed, back int) Attempt {
	ms := func(n int) time.Duration {
		if n < 0 {
			return Never
		}
		return time.Duration(n) * time.Millisecond
	}
	return Attempt{
		Key: "k", Caller: int(token), Call: ms(call), Return: ms(ret), Outcome: Granted,
		Token: token, First: min(ms(proven), ms(ret+99)), Proven: ms(proven), Freed: ms(freed), Back: ms(back),
	}
}

// forgets is that Redis loses what it knows, in milliseconds, and knows of leases of
// 100 ms. A grant of these tests is proven for 99 ms at first, at most: it was sent
// 1 ms before it returned.
func forgets(times ...int) Terms {
	terms := Terms{Proof: 100 * time.Millisecond}
	for i := 0; i < len(times); i += 2 {
		terms.Forgot = append(terms.Forgot, Loss{From: time.Duration(times[i]) * time.Millisecond, To: time.Duration(times[i+1]) * time.Millisecond})
	}
	return terms
}

// passesOn is forgets, with processes that pass a forgotten lease on for 20 ms.
func passesOn(times ...int) Terms {
	terms := forgets(times...)
	terms.PassedOn = 20 * time.Millisecond
	return terms
}

// since is a with a proof that goes back to that millisecond, as of one to whom
// another of his process has passed the lock on.
func since(a Attempt, at int) Attempt {
	a.First = time.Duration(at+100) * time.Millisecond
	return a
}

// only is terms in which what Redis loses is of one key.
func only(key string, terms Terms) Terms {
	for i := range terms.Forgot {
		terms.Forgot[i].Key = key
	}
	return terms
}

// of is a on another key.
func of(key string, a Attempt) Attempt {
	a.Key = key
	return a
}

func other(o Outcome, call, ret int) Attempt {
	a := grant(0, call, ret, 0, 0, 0)
	a.Outcome, a.Process = o, 1
	return a
}

const never = -1

// Each oracle has teeth: it accepts the histories of a lock and finds what is
// wrong with each other.
func TestOraclesTellALockFromWhatIsNone(t *testing.T) {
	for name, c := range map[string]struct {
		attempts []Attempt
		terms    Terms
		found    string // which oracles find something
	}{
		"one after the other": {
			attempts: []Attempt{grant(1, 0, 1, 100, 5, 6), grant(2, 0, 6, 100, 10, 12), grant(3, 11, 12, 100, 20, 21)},
		},
		"granted before the release of the other is confirmed": {
			attempts: []Attempt{grant(1, 0, 1, 100, 5, 50), grant(2, 0, 6, 100, 10, 12)},
		},
		"after the proof of one who never releases": {
			attempts: []Attempt{grant(1, 0, 1, 100, never, never), grant(2, 50, 101, 200, 110, 111)},
		},
		"before the proof of the other ends": {
			attempts: []Attempt{grant(1, 0, 1, 100, never, never), grant(2, 50, 99, 200, 110, 111)},
			found:    "O1 O2",
		},
		"before the other's release begins": {
			attempts: []Attempt{grant(1, 0, 1, 100, 50, 51), grant(2, 10, 49, 200, 110, 111)},
			found:    "O1 O2",
		},
		"of one whose proof was over when it came": {
			attempts: []Attempt{grant(1, 0, 60, 50, 70, never), grant(2, 10, 55, 200, 110, 111)},
		},
		"one that is granted within another's grant": {
			attempts: []Attempt{grant(1, 0, 1, 100, 50, 51), grant(2, 10, 12, 200, 14, 15)},
			found:    "O1 O2",
		},
		"beside one whom Redis has forgotten": {
			attempts: []Attempt{grant(1, 0, 1, 100, 50, 51), grant(2, 10, 12, 111, 14, 15)},
			terms:    forgets(5, 8),
		},
		"beside another, before Redis forgets": {
			attempts: []Attempt{grant(1, 0, 1, 100, 50, 51), grant(2, 10, 12, 111, 14, 15)},
			terms:    forgets(20, 30),
			found:    "O1 O2",
		},
		"beside another, of whom Redis has learnt since it forgot": {
			attempts: []Attempt{grant(1, 10, 11, 110, 50, 51), grant(2, 10, 12, 111, 14, 15)},
			terms:    forgets(5, 8),
			found:    "O1 O2",
		},
		"beside another, between two times that Redis forgets": {
			attempts: []Attempt{grant(1, 10, 11, 110, 50, 51), grant(2, 10, 12, 111, 14, 15)},
			terms:    forgets(5, 8, 60, 70),
			found:    "O1 O2",
		},
		"beside one who is forgotten and one who is not": {
			attempts: []Attempt{grant(1, 0, 1, 100, 60, 61), grant(2, 10, 12, 111, 40, 41), grant(3, 15, 17, 116, 20, 21)},
			terms:    forgets(5, 8),
			found:    "O1 O2",
		},
		"beside one whom Redis has forgotten, when his proof must have ended": {
			attempts: []Attempt{grant(1, 0, 1, 300, 250, 251), grant(2, 10, 150, 249, 160, 161)},
			terms:    forgets(5, 8),
			found:    "O2",
		},
		"on a key of which Redis was asked only before it forgets": {
			attempts: []Attempt{
				grant(1, 0, 1, 100, 50, 51), grant(2, 10, 12, 111, 14, 15),
				of("other", grant(1, 0, 1, 100, 4, 4)), of("other", grant(2, 1, 2, 101, 3, 3)),
			},
			terms: forgets(5, 8),
			found: "O1 O2",
		},
		"of a lease that Redis has forgotten, passed on": {
			attempts: []Attempt{grant(5, 0, 1, 100, 10, 10), grant(9, 9, 12, 111, 20, 21), since(grant(6, 9, 14, 100, 18, 18), 0)},
			terms:    forgets(5, 8),
		},
		"with the token of another": {
			attempts: []Attempt{grant(7, 0, 1, 100, 5, 6), grant(7, 7, 8, 100, 10, 12)},
			found:    "O1 O3",
		},
		"with a lower token": {
			attempts: []Attempt{grant(7, 0, 1, 100, 5, 6), grant(6, 0, 8, 100, 10, 12)},
			found:    "O1 O3",
		},
		"with a lower token, where Redis forgets": {
			attempts: []Attempt{grant(7, 0, 1, 100, 5, 6), grant(6, 2, 8, 100, 10, 12)},
			terms:    forgets(2, 3),
			found:    "O3",
		},
		"with a lower token, long after Redis has forgotten": {
			attempts: []Attempt{grant(7, 10, 11, 110, 15, 16), grant(6, 10, 18, 110, 20, 22)},
			terms:    forgets(2, 3),
			found:    "O1 O3",
		},
		"with a lower token, after one who had the lock before Redis forgets": {
			attempts: []Attempt{grant(7, 0, 1, 100, 5, 6), grant(6, 0, 8, 100, 10, 12)},
			terms:    forgets(2, 3),
			found:    "O3",
		},
		"with a lower token, but nobody can tell who was first": {
			attempts: []Attempt{grant(7, 0, 4, 103, 5, 6), since(grant(6, 0, 8, 100, 10, 12), 1)},
			terms:    forgets(2, 3),
		},
		"with a lower token, of a lease that Redis has just forgotten": {
			attempts: []Attempt{grant(5, 1, 2, 101, 14, 14), grant(9, 9, 12, 111, 13, 13), since(grant(6, 13, 14, 100, 28, 28), 0)},
			terms:    passesOn(5, 8),
		},
		"with a lower token, of a lease that Redis has forgotten for too long": {
			attempts: []Attempt{grant(5, 1, 2, 101, 14, 14), grant(9, 9, 12, 111, 13, 13), since(grant(6, 13, 29, 100, 35, 35), 0)},
			terms:    passesOn(5, 8),
			found:    "O3",
		},
		"with a lower token, where nobody may pass on a lease that Redis has forgotten": {
			attempts: []Attempt{grant(5, 1, 2, 101, 14, 14), grant(9, 9, 12, 111, 13, 13), since(grant(6, 13, 14, 100, 28, 28), 0)},
			terms:    forgets(5, 8),
			found:    "O3",
		},
		"with a lower token, of a lease from after the loss": {
			attempts: []Attempt{grant(9, 9, 12, 111, 13, 13), grant(6, 13, 14, 113, 28, 28)},
			terms:    passesOn(5, 8),
			found:    "O1 O3",
		},
		"with a lower token than one from before the loss, of a forgotten lease": {
			attempts: []Attempt{grant(7, 1, 2, 101, 3, 3), grant(9, 9, 12, 111, 13, 13), since(grant(6, 13, 14, 100, 28, 28), 0)},
			terms:    passesOn(5, 8),
			found:    "O3",
		},
		"with a lower token, when Redis has forgotten another key": {
			attempts: []Attempt{grant(5, 1, 2, 101, 8, 8), grant(9, 9, 12, 111, 13, 13), since(grant(6, 13, 14, 100, 28, 28), 0)},
			terms:    only("other", passesOn(5, 8)),
			found:    "O1 O3",
		},
		"beside another, when Redis has forgotten another key": {
			attempts: []Attempt{grant(1, 0, 1, 100, 50, 51), grant(2, 10, 12, 111, 14, 15)},
			terms:    only("other", forgets(5, 8)),
			found:    "O1 O2",
		},
		"beside one whom Redis has forgotten, with all else of his key": {
			attempts: []Attempt{grant(1, 0, 1, 100, 50, 51), grant(2, 10, 12, 111, 14, 15)},
			terms:    only("k", forgets(5, 8)),
		},
		"a refusal while another has it": {
			attempts: []Attempt{grant(1, 0, 1, 100, 5, 6), other(Held, 3, 4)},
			terms:    Terms{Exact: 100 * time.Millisecond},
		},
		"a refusal while nobody has it": {
			attempts: []Attempt{grant(1, 0, 1, 100, 5, 6), other(Held, 7, 8)},
			terms:    Terms{Exact: 100 * time.Millisecond},
			found:    "O1",
		},
		"a refusal while nobody has it, among lost messages": {
			attempts: []Attempt{grant(1, 0, 1, 100, 5, 6), other(Held, 7, 8)},
		},
		"a refusal that an unknown outcome explains": {
			attempts: []Attempt{grant(1, 0, 1, 100, 5, 6), other(Open, 6, 20), other(Held, 30, 31)},
			terms:    Terms{Exact: 100 * time.Millisecond},
		},
		"a refusal while one had it whose proof was over when it came": {
			attempts: []Attempt{grant(1, 0, 60, 50, 70, never), other(Held, 61, 62)},
			terms:    Terms{Exact: 100 * time.Millisecond},
		},
		"a refusal while nobody has it, behind another of its process": {
			attempts: []Attempt{grant(1, 0, 1, 100, 5, 6), other(Held, 7, 8), other(Held, 4, 9)},
			terms:    Terms{Exact: 100 * time.Millisecond},
		},
		"a refusal after another, on the way back": {
			attempts: []Attempt{grant(1, 0, 1, 100, 5, never), other(Held, 70, 71)},
			terms:    Terms{Exact: 100 * time.Millisecond},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var found []string
			for _, v := range Judge(c.attempts, nil, c.terms) {
				found = append(found, v.Oracle)
			}
			slices.Sort(found)
			if got := strings.Join(slices.Compact(found), " "); got != c.found {
				t.Errorf("%q find something, want %q", got, c.found)
			}
		})
	}
}

// A long history is checked in stretches, and what is wrong is found in each of
// them and where they meet.
func TestOneWrongGrantIsFoundInALongHistory(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	const n = 5 * stretch
	var all []Attempt
	for i := range n {
		at := 10 * i
		call := max(0, at-random.IntN(3000)) // many wait
		all = append(all, grant(uint64(i+1), call, at, at+1000, at+5, at+5+random.IntN(8)))
		all = append(all, other(Held, at+1, at+3))
	}
	exact := Terms{Exact: time.Second}
	if found := Judge(all, nil, exact); len(found) > 0 {
		t.Fatalf("%d findings in the history of a lock, such as %v", len(found), found[0])
	}
	for i := 1; i < n; i += 37 {
		wrong := slices.Clone(all)
		wrong[2*i].Return -= 6 * time.Millisecond // into the tenure of the one before
		wrong[2*i].Call = min(wrong[2*i].Call, wrong[2*i].Return)
		keys := byKey(wrong)
		if len(Overlaps(keys["k"], exact)) != 1 || Linearizable(keys["k"], exact) == nil {
			t.Fatalf("grant %d is not found to be wrong", i)
		}
	}
}

// The model finds by itself that a token falls, in a history whose times are those
// of a lock: also where the store that checks tokens would not see it.
func TestAHistoryWithAFallingTokenIsNoLocks(t *testing.T) {
	for i := 1; i < 3*stretch; i += 41 {
		var all []Attempt
		for n := range 3 * stretch {
			token := uint64(10 * (n + 1))
			if n == i {
				token -= 15 // below the one before
			}
			all = append(all, grant(token, max(0, 10*n-300), 10*n, 10*n+99, 10*n+5, 10*n+6))
		}
		found := Linearizable(byKey(all)["k"], Terms{})
		if found == nil || len(Overlaps(byKey(all)["k"], Terms{})) > 0 {
			t.Fatalf("grant %d has a lower token than the one before: %v", i, found)
		}
	}
}

func TestAFencedStoreThatTakesAStaleWriteIsFound(t *testing.T) {
	attempts := []Attempt{grant(1, 0, 1, 10, never, never), grant(2, 11, 12, 100, 20, 21)}
	for name, c := range map[string]struct {
		writes []Write
		stale  int
		found  bool
	}{
		"in their order":             {writes: []Write{{0, true}, {1, true}}},
		"a stale one, refused":       {writes: []Write{{1, true}, {0, false}}, stale: 1},
		"a stale one, accepted":      {writes: []Write{{1, true}, {0, true}}, stale: 1, found: true},
		"a second stale one":         {writes: []Write{{0, true}, {1, true}, {0, false}, {0, true}}, stale: 2, found: true},
		"the later one's second one": {writes: []Write{{1, true}, {0, false}, {1, true}}, stale: 1},
	} {
		t.Run(name, func(t *testing.T) {
			if n := len(Stale(attempts, c.writes, Terms{})); n != c.stale {
				t.Errorf("%d stale writes, want %d", n, c.stale)
			}
			if found := Judge(attempts, c.writes, Terms{}); (len(found) > 0) != c.found {
				t.Errorf("found %v", found)
			}
		})
	}
}

// Who had the lock before a loss came before all who were granted it later: their
// requests may be as old as his.
func TestAStaleWriteOfOneFromBeforeALossIsFound(t *testing.T) {
	before, waiter := grant(7, 0, 1, 100, 5, 6), since(grant(6, 0, 8, 107, 10, 12), 7)
	attempts := []Attempt{before, waiter}
	writes := []Write{{1, true}, {0, true}}
	if n := len(Stale(attempts, writes, forgets(2, 3))); n != 1 {
		t.Errorf("%d stale writes", n)
	}
	found := Judge(attempts, writes, forgets(2, 3))
	if len(found) != 2 { // the token that fell, and the write
		t.Errorf("found %v", found)
	}
	// One that may have been granted after the loss, to one who waited for less long,
	// says nothing.
	attempts = []Attempt{grant(7, 0, 4, 103, 5, 6), since(grant(6, 0, 8, 100, 10, 12), 1)}
	if found := Judge(attempts, writes, forgets(2, 3)); len(found) > 0 {
		t.Errorf("found %v", found)
	}
}

// A process that was late itself may pass a forgotten lease on for so much longer.
func TestWhoWasLateMayPassOnForSoMuchLonger(t *testing.T) {
	late := since(grant(6, 13, 30, 100, 35, 35), 0)
	late.Process = 7
	attempts := []Attempt{grant(5, 1, 2, 101, 14, 14), grant(9, 9, 12, 111, 13, 13), late}
	for by, fails := range map[int]bool{1: true, 2: false} {
		terms := passesOn(5, 8)
		terms.Late = func(process int, from, to time.Duration) time.Duration {
			if process != 7 || from != 8*time.Millisecond || to != 30*time.Millisecond {
				return 0
			}
			return time.Duration(by) * time.Millisecond
		}
		if found := Judge(attempts, nil, terms); (len(found) > 0) != fails {
			t.Errorf("%d ms late: found %v", by, found)
		}
	}
}

// Whoever was passed a forgotten lease on is not later than the holder who came in, by
// whose writes his own are stale; those of a holder from before the loss are staler.
func TestWritesBesideAForgottenLeaseAreJudged(t *testing.T) {
	attempts := []Attempt{
		0: grant(5, 0, 1, 100, 4, 4), 1: grant(9, 9, 12, 111, 30, 30), 2: since(grant(6, 13, 14, 100, 28, 28), 0),
		3: since(grant(7, 15, 40, 100, 45, 45), 0), 4: grant(8, 3, 4, 103, 7, 7),
	}
	for name, c := range map[string]struct {
		writes []Write
		terms  Terms
		stale  int
		found  bool // of what the store has done
	}{
		"refused, and the other's go on":              {writes: []Write{{1, true}, {2, false}, {1, true}}, terms: passesOn(5, 8)},
		"the same, where nobody may pass on":          {writes: []Write{{1, true}, {2, false}, {1, true}}, terms: forgets(5, 8), stale: 1, found: true},
		"the same, when it was too late":              {writes: []Write{{1, true}, {3, false}, {1, true}}, terms: passesOn(5, 8), stale: 1, found: true},
		"one from before the loss, after a passed-on": {writes: []Write{{2, true}, {0, true}}, terms: passesOn(5, 8), stale: 1, found: true},
		"and after the other's":                       {writes: []Write{{1, true}, {2, false}, {0, true}}, terms: passesOn(5, 8), stale: 1, found: true},
	} {
		t.Run(name, func(t *testing.T) {
			n, taken := 0, false
			for _, w := range Stale(attempts, c.writes, c.terms) {
				n++
				taken = taken || w.Accepted
			}
			if n != c.stale || taken != c.found {
				t.Errorf("%d stale writes, want %d; one was taken: %v", n, c.stale, taken)
			}
		})
	}
}

func TestWhoWasPassedAForgottenLeaseIsCounted(t *testing.T) {
	attempts := []Attempt{
		grant(5, 1, 2, 101, 8, 8), grant(9, 9, 12, 111, 13, 13),
		since(grant(6, 13, 14, 100, 20, 20), 0), since(grant(7, 13, 21, 100, 28, 28), 0), grant(10, 9, 30, 129, 31, 31),
	}
	if n, last := PassedOn(attempts, passesOn(5, 8)); n != 2 || last != 16*time.Millisecond {
		t.Errorf("%d, the last after %v", n, last)
	}
}

func TestAWaiterWhoIsForgottenIsFound(t *testing.T) {
	const soon = 5 * time.Millisecond
	for name, c := range map[string]struct {
		attempts []Attempt
		found    int
	}{
		"in at once":                         {attempts: []Attempt{grant(1, 0, 1, 100, 50, 51), grant(2, 10, 52, 200, 60, 61)}},
		"in much later":                      {attempts: []Attempt{grant(1, 0, 1, 100, 50, 51), grant(2, 10, 90, 200, 95, 96)}, found: 1},
		"had only begun to wait":             {attempts: []Attempt{grant(1, 0, 1, 100, 50, 51), grant(2, 48, 90, 200, 95, 96)}},
		"came later":                         {attempts: []Attempt{grant(1, 0, 1, 100, 50, 51), grant(2, 80, 90, 200, 95, 96)}},
		"the release was never confirmed":    {attempts: []Attempt{grant(1, 0, 1, 100, 50, never), grant(2, 10, 90, 200, 95, 96)}, found: 1},
		"it was never released":              {attempts: []Attempt{grant(1, 0, 1, 100, never, never), grant(2, 10, 190, 300, 195, 196)}},
		"it had lapsed when it was released": {attempts: []Attempt{grant(1, 0, 1, 50, 50, 51), grant(2, 10, 90, 200, 95, 96)}},
		"after one who did not wait himself": {attempts: []Attempt{grant(1, 0, 1, 100, 50, 51), grant(2, 52, 53, 200, 54, 55), grant(3, 10, 90, 200, 95, 96)}, found: 1},
		"a newcomer is next, and late":       {attempts: []Attempt{grant(1, 0, 1, 100, 50, 51), grant(2, 80, 90, 200, 95, 96), grant(3, 10, 98, 200, 99, 99)}, found: 1},
		"a newcomer is next, at once":        {attempts: []Attempt{grant(1, 0, 1, 100, 50, 51), grant(2, 51, 53, 200, 95, 96), grant(3, 10, 98, 200, 99, 99)}},
		"nobody is next":                     {attempts: []Attempt{grant(1, 0, 1, 100, 50, 51), other(Open, 10, 90)}, found: 1},
		"nobody is next, and he left":        {attempts: []Attempt{grant(1, 0, 1, 100, 50, 51), other(Open, 10, 53)}},
	} {
		t.Run(name, func(t *testing.T) {
			if found := Wakeups(c.attempts, soon); len(found) != c.found {
				t.Errorf("found %q", found)
			}
		})
	}
}

func TestWhoIsOvertakenInTheLineOfHisProcessIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		attempts []Attempt
		found    int
	}{
		"in their order":             {attempts: []Attempt{grant(1, 0, 5, 100, 6, 6), grant(2, 1, 7, 100, 8, 8)}},
		"the later one first":        {attempts: []Attempt{grant(1, 1, 5, 100, 6, 6), grant(2, 0, 7, 100, 8, 8)}, found: 1},
		"before one who then left":   {attempts: []Attempt{grant(1, 1, 5, 100, 6, 6), {Key: "k", Return: 7 * time.Millisecond}}, found: 1},
		"before another process's":   {attempts: []Attempt{grant(1, 1, 5, 100, 6, 6), other(Open, 0, 7)}},
		"before one who came later":  {attempts: []Attempt{grant(1, 1, 5, 100, 6, 6), grant(2, 1, 7, 100, 8, 8)}},
		"before one on another key":  {attempts: []Attempt{grant(1, 1, 5, 100, 6, 6), of("other", grant(2, 0, 7, 100, 8, 8))}},
		"after one who left in time": {attempts: []Attempt{grant(1, 1, 5, 100, 6, 6), {Key: "k", Return: 4 * time.Millisecond}}},
	} {
		t.Run(name, func(t *testing.T) {
			if found := Overtaken(c.attempts); len(found) != c.found {
				t.Errorf("found %q", found)
			}
		})
	}
}
