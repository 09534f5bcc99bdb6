package idgen

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/locktest"
)

// leases calls lease.lua with a clock that the test sets.
type leases struct {
	t       *testing.T
	m       *miniredis.Miniredis
	rdb     redis.UniversalClient
	options snowflakeOptions
	now     int64 // milliseconds since 1970
	bases   map[string]int64
}

const (
	window = 3000 // milliseconds
	ttl    = 9000
	skew   = 1000
)

func newLeases(t *testing.T, opts ...SnowflakeOption) *leases {
	t.Helper()
	m, counted := newRedis(t, noon)
	o, err := newSnowflakeOptions("orders", append([]SnowflakeOption{Epoch(testEpoch)}, opts...))
	if err != nil {
		t.Fatal(err)
	}
	return &leases{t: t, m: m, rdb: counted.DailyRedis.(redis.UniversalClient), options: o, now: noon.UnixMilli(), bases: map[string]int64{}}
}

// pass lets milliseconds go by, or come back.
func (l *leases) pass(milli int64) {
	l.now += milli
	l.m.SetTime(time.UnixMilli(l.now))
}

func (l *leases) ask(c leaseCall) leaseReply {
	l.t.Helper()
	s := &Snowflake{options: l.options, rdb: l.rdb}
	r, err := s.askLease(l.t.Context(), c)
	if err != nil {
		l.t.Fatal(err)
	}
	if r.now.UnixMilli() != l.now {
		l.t.Fatalf("the script's clock is %v, want %v", r.now, time.UnixMilli(l.now))
	}
	return r
}

// want asks for a lease as one who knows what was answered before, and compares
// the answer, with times as milliseconds from now.
func (l *leases) want(owner string, extend int64, floor int64, status string, worker, milli int64) {
	l.t.Helper()
	r := l.ask(leaseCall{owner: owner, worker: extend, base: l.bases[owner], floor: floor})
	if r.status == leaseTaken {
		l.bases[owner] = r.time.UnixMilli()
	}
	if r.status != status || r.worker != worker || r.time.UnixMilli()-l.now != milli {
		l.t.Errorf("%s asks to extend %d: %s %d, %+d ms; want %s %d, %+d ms",
			owner, extend, r.status, r.worker, r.time.UnixMilli()-l.now, status, worker, milli)
	}
}

func (l *leases) giveBack(owner string) {
	l.t.Helper()
	s := &Snowflake{options: l.options, rdb: l.rdb}
	if err := s.returnLease(l.t.Context(), owner); err != nil {
		l.t.Fatal(err)
	}
}

func TestALeaseStartsAboveWindowAndSkewAndIsExtendedToAWindowFromNow(t *testing.T) {
	l := newLeases(t)
	l.want("ann", -1, 0, leaseTaken, 0, window+skew)
	l.want("ann", 0, 0, leaseExtended, 0, window+skew) // not yet above the base
	l.pass(skew)
	l.want("ann", 0, 0, leaseExtended, 0, window)
	l.pass(1)
	l.want("ann", 0, 0, leaseExtended, 0, window)
	l.pass(ttl - 1)
	l.want("ann", 0, 0, leaseExtended, 0, window)
}

func TestTheLowestFreeWorkerIsTaken(t *testing.T) {
	l := newLeases(t, WorkerBits(2))
	for i, owner := range []string{"ann", "ben", "cid", "dan"} {
		l.want(owner, -1, 0, leaseTaken, int64(i), window+skew)
	}
	l.want("eve", -1, 0, leaseNone, 4, ttl)
	l.pass(100)
	l.want("dan", 3, 0, leaseExtended, 3, window+skew-100)
	l.want("eve", -1, 0, leaseNone, 4, ttl-100)
	l.giveBack("cid")
	l.giveBack("ben")
	l.want("eve", -1, 0, leaseTaken, 1, window+skew)
}

func TestARepeatedRequestTakesNoSecondWorker(t *testing.T) {
	l := newLeases(t)
	l.want("ann", -1, 0, leaseTaken, 0, window+skew)
	l.want("ann", -1, 0, leaseTaken, 0, window+skew)
	l.want("ben", -1, 0, leaseTaken, 1, window+skew)
}

func TestALeaseThatIsOverIsNotExtendedByAnybody(t *testing.T) {
	l := newLeases(t)
	l.want("ann", -1, 0, leaseTaken, 0, window+skew)
	l.pass(ttl)
	l.want("ann", 0, 0, leaseTaken, 0, window+skew)
	l.want("ben", 0, 0, leaseTaken, 1, window+skew)
	l.pass(ttl)
	l.want("ben", -1, 0, leaseTaken, 0, window+skew)
	l.want("ann", 0, 0, leaseTaken, 1, window+skew)
}

// Else she would go on from her last ID, through the times that were ben's.
func TestALeaseThatWasTakenByACallWhoseReplyIsLostIsNotExtended(t *testing.T) {
	l := newLeases(t)
	l.want("ann", -1, 0, leaseTaken, 0, window+skew)
	l.pass(ttl)
	l.want("ben", -1, 0, leaseTaken, 0, window+skew)
	l.pass(2 * skew)
	l.want("ben", 0, 0, leaseExtended, 0, window)
	l.giveBack("ben")
	if r := l.ask(leaseCall{owner: "ann", worker: 0, base: l.bases["ann"]}); r.status != leaseTaken || r.worker != 0 {
		t.Fatalf("ann, unheard: %+v", r)
	}
	l.pass(1)
	l.want("ann", 0, 0, leaseTaken, 0, window+skew)
	l.pass(1)
	l.want("ann", 0, 0, leaseExtended, 0, window+skew-1)
}

// Both have the same base: the first did not hear of the loss.
func TestALeaseOfAnotherIsNotExtended(t *testing.T) {
	l := newLeases(t)
	l.want("ann", -1, 0, leaseTaken, 0, window+skew)
	l.m.FlushAll()
	l.want("ben", -1, 0, leaseTaken, 0, window+skew)
	l.want("ann", 0, 0, leaseTaken, 1, window+skew)
}

func TestANewHolderStartsAboveTheCeilingOfTheLast(t *testing.T) {
	l := newLeases(t, WorkerBits(1))
	l.want("ann", -1, 0, leaseTaken, 0, window+skew)
	l.want("ben", -1, 0, leaseTaken, 1, window+skew)
	l.pass(5000)
	l.want("ann", 0, 0, leaseExtended, 0, window)
	l.want("ben", 1, 0, leaseExtended, 1, window)
	// The clock goes back by four seconds: all ceilings are 7 s ahead.
	l.pass(-4000)
	l.want("ann", 0, 0, leaseExtended, 0, 4000+window)
	l.giveBack("ben")
	l.want("cid", -1, 0, leaseTaken, 1, 4000+window)
}

func TestOfTheFreeWorkersTheOneThatIsSoonestUsableIsTaken(t *testing.T) {
	l := newLeases(t, WorkerBits(2))
	l.want("ann", -1, 0, leaseTaken, 0, window+skew)
	l.giveBack("ann")
	l.pass(-60_000)
	l.want("ben", -1, 0, leaseTaken, 1, window+skew)
}

// What was leased before the clock was set back would be taken for an hour.
func TestALeaseFromBeforeTheClockWasSetBackIsFree(t *testing.T) {
	l := newLeases(t, WorkerBits(1))
	l.want("ann", -1, 0, leaseTaken, 0, window+skew)
	l.want("ben", -1, 0, leaseTaken, 1, window+skew)
	l.pass(-3_600_000)
	l.want("cid", -1, 0, leaseTaken, 0, 3_600_000+window+skew)
}

func TestTheClockIsSetBackByLessThanTheSkewAndLeasesStay(t *testing.T) {
	l := newLeases(t, WorkerBits(1))
	l.want("ann", -1, 0, leaseTaken, 0, window+skew)
	l.pass(-skew)
	l.want("ben", -1, 0, leaseTaken, 1, window+skew)
	l.want("cid", -1, 0, leaseNone, 2, ttl)
}

// Skew has this from here: the second master knows nothing of ann.
func TestTwoMastersForNoLongerThanTheSkewGrantNoTimeTwice(t *testing.T) {
	cutOff, promoted := newLeases(t), newLeases(t)
	cutOff.want("ann", -1, 0, leaseTaken, 0, window+skew)
	promoted.want("ben", -1, 0, leaseTaken, 0, window+skew)
	cutOff.pass(skew)
	cutOff.want("ann", 0, 0, leaseExtended, 0, window)
	if ceiling := cutOff.now + window; ceiling > promoted.bases["ben"] {
		t.Errorf("ann may make IDs up to %d, ben from %d", ceiling, promoted.bases["ben"])
	}
}

func TestAGeneratorsOwnFloorIsHeldAlsoAfterRedisHasForgottenIt(t *testing.T) {
	l := newLeases(t)
	l.want("ann", -1, 0, leaseTaken, 0, window+skew)
	highest := l.now + window + skew
	l.m.FlushAll()
	l.pass(-3000)
	l.want("ann", 0, highest, leaseTaken, 0, 3000+window+skew)
}

func TestAnotherLayoutIsRefusedAndNothingIsDone(t *testing.T) {
	l := newLeases(t)
	l.want("ann", -1, 0, leaseTaken, 0, window+skew)
	for name, o := range map[string]SnowflakeOption{
		"bits": WorkerBits(9), "epoch": Epoch(testEpoch.Add(time.Millisecond)), "window": Window(time.Second),
	} {
		other := *l
		var err error
		if other.options, err = newSnowflakeOptions("orders", []SnowflakeOption{Epoch(testEpoch), o}); err != nil {
			t.Fatal(err)
		}
		if r := other.ask(leaseCall{owner: "ben", worker: -1}); r.status != leaseLayout || r.layout != l.options.layout() {
			t.Errorf("another %s: %+v, want the layout %q", name, r, l.options.layout())
		}
	}
	if fields, err := l.m.HKeys(l.options.key()); err != nil || len(fields) != 2 {
		t.Errorf("the hash has the fields %v, %v; want the layout and one worker", fields, err)
	}
}

func TestGivingBackTouchesNobodyElse(t *testing.T) {
	l := newLeases(t)
	l.want("ann", -1, 0, leaseTaken, 0, window+skew)
	l.want("ben", -1, 0, leaseTaken, 1, window+skew)
	l.giveBack("ann")
	l.giveBack("nobody")
	l.want("ben", 1, 0, leaseExtended, 1, window+skew)
	want := fmt.Sprintf("%d 0 0 ", l.now+window+skew)
	if got := l.m.HGet(l.options.key(), "0"); got != want {
		t.Errorf("what ann has given back is %q, want %q", got, want)
	}
}

func TestAHashThatIsNotOursIsABackendError(t *testing.T) {
	l := newLeases(t)
	s := &Snowflake{options: l.options, rdb: l.rdb}
	for name, spoil := range map[string]func(){
		"text":   func() { l.m.Set(l.options.key(), "x") },
		"worker": func() { l.m.Del(l.options.key()); l.m.HSet(l.options.key(), "0", "soon never ann") },
	} {
		spoil()
		if r, err := s.askLease(t.Context(), leaseCall{owner: "ann", worker: -1}); !errors.Is(err, ErrBackend) {
			t.Errorf("%s: %+v, %v; want ErrBackend", name, r, err)
		} else if !strings.Contains(err.Error(), l.options.key()) {
			t.Errorf("%s: the error does not name the key: %v", name, err)
		}
	}
}

func TestAnswersThatCannotBeUnderstoodAreRefused(t *testing.T) {
	for _, values := range [][]any{
		nil, {"taken", int64(1)}, {"layout", int64(1), int64(2)}, {"taken", int64(1), int64(2)},
		{int64(1), int64(1), int64(2), int64(3)}, {"taken", "1", int64(2), int64(3)},
		{"taken", int64(1), "2", int64(3)}, {"taken", int64(1), int64(2), "3"},
	} {
		if r, ok := readLease(values); ok {
			t.Errorf("%v was read as %+v", values, r)
		}
	}
}

// Numbers above 2^53 and times of 13 digits pass through Lua: what miniredis makes
// of them says nothing about Redis.
func TestLeasesOnARealServer(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: locktest.StartRedis(t).Addr()})
	t.Cleanup(func() { rdb.Close() })
	o, err := newSnowflakeOptions("orders", []SnowflakeOption{Epoch(testEpoch), WorkerBits(1)})
	if err != nil {
		t.Fatal(err)
	}
	s := &Snowflake{options: o, rdb: rdb}
	var base int64 // of ann's
	ask := func(owner string, worker int64) (leaseReply, int64) {
		t.Helper()
		r, err := s.askLease(t.Context(), leaseCall{owner: owner, worker: worker, base: base})
		if err != nil {
			t.Fatal(err)
		}
		if off := time.Since(r.now); off < 0 || off > time.Minute {
			t.Fatalf("the script says %v, here it is %v", r.now, time.Now())
		}
		return r, r.time.UnixMilli() - r.now.UnixMilli()
	}
	if r, milli := ask("ann", -1); r.status != leaseTaken || r.worker != 0 || milli != window+skew {
		t.Errorf("ann: %+v, %d ms ahead", r, milli)
	} else {
		base = r.time.UnixMilli()
	}
	if r, milli := ask("ben", -1); r.status != leaseTaken || r.worker != 1 || milli != window+skew {
		t.Errorf("ben: %+v, %d ms ahead", r, milli)
	}
	if r, milli := ask("ann", 0); r.status != leaseExtended || r.worker != 0 || milli > window+skew || milli <= window {
		t.Errorf("ann again: %+v, %d ms ahead", r, milli)
	}
	if r, milli := ask("cid", -1); r.status != leaseNone || r.worker != 2 || milli > ttl || milli <= 0 {
		t.Errorf("cid: %+v, %d ms ahead", r, milli)
	}
	if err := s.returnLease(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	if r, _ := ask("cid", -1); r.status != leaseTaken || r.worker != 0 {
		t.Errorf("cid after ann has left: %+v", r)
	}
	if ttl := rdb.TTL(t.Context(), o.key()).Val(); ttl != -1 {
		t.Errorf("the hash expires in %v", ttl)
	}
}
