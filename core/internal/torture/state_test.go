package torture

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/internal/torture/tally"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// TestS2TheAPIBehavesAsAModelDoes: whatever sequence of calls, on any of three
// Lockers, a few lines tell what each must come to.
func TestS2TheAPIBehavesAsAModelDoes(t *testing.T) {
	t.Parallel()
	s := scenario(t, "S2")
	defer setRapid(t, "checks", strconv.Itoa(size(100, 2000)))()
	defer setRapid(t, "steps", strconv.Itoa(size(20, 50)))()
	defer setRapid(t, "nofailfile", "true")() // the seed is told
	server := locktest.StartRedis(t)
	var lockers []*core.RedisLocker
	for range 3 {
		// What is leaked must not expire while it is waited for, and who is not
		// subscribed is to hear soon that it is broken: at its renewal.
		l, err := core.New(server.Client(nil), core.TTL(soon+soon/4))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		lockers = append(lockers, l)
	}
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		m := &model{lockers: lockers, s: s, held: map[string]*holding{}, last: map[string]uint64{}, left: map[string]bool{}}
		for _, name := range []string{"a", "b", "c"} {
			m.keys = append(m.keys, fmt.Sprintf("%s of run %d", name, runs))
		}
		defer m.releaseAll(t)
		t.Repeat(map[string]func(*rapid.T){
			"TryAcquire":                   m.tryAcquire,
			"TryAcquire, as likely as not": m.tryAcquire, // keys are to be held mostly
			"Acquire nested":               m.nested,
			"wait in vain":                 m.waitInVain,
			"wait for":                     m.waitFor,
			"Release":                      m.release,
			"Release again":                m.releaseAgain,
			"Break":                        m.breakOne,
			"Inspect":                      m.inspect,
			"cancelled":                    m.cancelled,
			"bad key":                      m.badKey,
			"":                             m.invariants,
		})
	})
}

// setRapid sets one of rapid's flags, unless the command line has; the function
// that it returns sets it back.
func setRapid(t *testing.T, name, value string) (back func()) {
	f := flag.Lookup("rapid." + name)
	before, set := f.Value.String(), false
	flag.Visit(func(other *flag.Flag) { set = set || other == f })
	if set {
		return func() {}
	}
	if err := f.Value.Set(value); err != nil {
		t.Fatal(err)
	}
	return func() { _ = f.Value.Set(before) }
}

// model is what the keys must be like. Keys are the model's own in each run, so
// that one that has failed leaves nothing to the next.
type model struct {
	lockers []*core.RedisLocker
	keys    []string
	s       *tally.Tally
	held    map[string]*holding
	last    map[string]uint64 // the highest token of each key
	gone    []core.Lock       // released
	// left has the keys that somebody has waited for in vain. He may have been
	// granted them as he left, and gives them back in the background.
	left map[string]bool
}

// holding is a key that is held.
type holding struct {
	lock   core.Lock
	locker int
	broken bool
	told   time.Time // when its holder knew of that
}

// soon bounds what has to happen, but not at once.
const soon = 10 * time.Second

func (m *model) draw(t *rapid.T) (locker int, key string) {
	return rapid.IntRange(0, len(m.lockers)-1).Draw(t, "locker"), m.keys[rapid.IntRange(0, len(m.keys)-1).Draw(t, "key")]
}

// attempted counts, and checks what a grant must be like.
func (m *model) attempted(t *rapid.T, lock core.Lock, key string, locker int) {
	m.s.Count(func(t *tally.Totals) {
		t.Attempts++
		if lock != nil {
			t.Grants++
		}
	})
	if lock == nil {
		return
	}
	if lock.Token() <= m.last[key] || lock.Remaining() <= 0 || lock.Context().Err() != nil || lock.Key() != key {
		t.Fatalf("VIOLATION O3: key %s: token %d after %d, %v remaining, %v", key, lock.Token(), m.last[key], lock.Remaining(), lock.Context().Err())
	}
	m.last[key], m.held[key] = lock.Token(), &holding{lock: lock, locker: locker}
}

func (m *model) tryAcquire(t *rapid.T) {
	locker, key := m.draw(t)
	lock, err := m.lockers[locker].TryAcquire(context.Background(), key)
	h := m.held[key]
	for end := time.Now().Add(soon); h == nil && m.left[key] && errors.Is(err, core.ErrHeld) && time.Now().Before(end); {
		lock, err = m.lockers[locker].TryAcquire(context.Background(), key)
	}
	switch {
	case h == nil && err != nil:
		t.Fatalf("VIOLATION O1: key %s is free: %v", key, err)
	case h != nil && !errors.Is(err, core.ErrHeld):
		t.Fatalf("VIOLATION O1: key %s is held: %v", key, err)
	}
	if err != nil {
		lock = nil
	}
	m.attempted(t, lock, key, locker)
}

func (m *model) nested(t *rapid.T) {
	_, key := m.draw(t)
	h := m.held[key]
	if h == nil || h.broken {
		t.Skip("nobody holds it")
	}
	if _, err := m.lockers[h.locker].Acquire(h.lock.Context(), key); !errors.Is(err, core.ErrSelfDeadlock) {
		t.Fatalf("VIOLATION O7: its own key: %v", err)
	}
}

func (m *model) waitInVain(t *rapid.T) {
	locker, key := m.draw(t)
	if m.held[key] == nil {
		t.Skip("it is free")
	}
	d := time.Duration(rapid.IntRange(1, 5).Draw(t, "wait")) * time.Millisecond
	if rapid.Bool().Draw(t, "by its context") {
		ctx, cancel := context.WithTimeout(context.Background(), d)
		defer cancel()
		if _, err := m.lockers[locker].Acquire(ctx, key); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("VIOLATION O7: the context has ended: %v", err)
		}
	} else if _, err := m.lockers[locker].Acquire(context.Background(), key, core.Wait(d)); !errors.Is(err, core.ErrWaitTimeout) && !unanswered(err) {
		t.Fatalf("VIOLATION O7: the wait is over: %v", err)
	}
	m.attempted(t, nil, key, locker)
	m.left[key] = true
}

// unanswered tells whether Redis has said nothing in so short a wait: that another
// is in the way is then not known.
func unanswered(err error) bool { return errors.Is(err, core.ErrBackend) }

// waitFor has one wait for a holder's release.
func (m *model) waitFor(t *rapid.T) {
	locker, key := m.draw(t)
	h := m.held[key]
	if h == nil {
		t.Skip("it is free")
	}
	type result struct {
		lock core.Lock
		err  error
	}
	got := make(chan result, 1)
	go func() {
		lock, err := m.lockers[locker].Acquire(context.Background(), key)
		got <- result{lock, err}
	}()
	for end := time.Now().Add(soon); ; time.Sleep(50 * time.Microsecond) {
		waiting := m.lockers[locker].Snapshot().Requests
		if waiting == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("VIOLATION O5: %d wait for key %s", waiting, key)
		}
	}
	m.give(t, key)
	select {
	case r := <-got:
		if r.err != nil {
			t.Fatalf("VIOLATION O5: key %s was released to one who waits: %v", key, r.err)
		}
		m.attempted(t, r.lock, key, locker)
	case <-time.After(soon):
		t.Fatalf("VIOLATION O5: key %s was released, and who waits does not get it", key)
	}
}

func (m *model) release(t *rapid.T) {
	_, key := m.draw(t)
	if m.held[key] == nil {
		t.Skip("nobody holds it")
	}
	m.give(t, key)
}

// give has the holder of key release it.
func (m *model) give(t *rapid.T, key string) {
	h := m.held[key]
	delete(m.held, key)
	if err := h.lock.Release(context.Background()); err != nil {
		t.Fatalf("VIOLATION O7: Release: %v", err)
	}
	want := core.ErrReleased
	if h.broken {
		want = core.ErrBroken
	}
	if cause := context.Cause(h.lock.Context()); !errors.Is(cause, want) || h.lock.Remaining() != 0 {
		t.Fatalf("VIOLATION O4: released: %v, %v remaining", cause, h.lock.Remaining())
	}
	m.gone = append(m.gone, h.lock)
}

func (m *model) releaseAgain(t *rapid.T) {
	if len(m.gone) == 0 {
		t.Skip("none was released")
	}
	if err := rapid.SampledFrom(m.gone).Draw(t, "lock").Release(context.Background()); !errors.Is(err, core.ErrReleased) {
		t.Fatalf("VIOLATION O7: a second Release: %v", err)
	}
}

// breakOne has an operator break a lock: its holder is told, and has it until it
// releases it.
func (m *model) breakOne(t *rapid.T) {
	locker, key := m.draw(t)
	lease, err := m.lockers[locker].Break(context.Background(), key)
	h := m.held[key]
	if h == nil {
		if m.left[key] && err == nil {
			return // it broke what is just being given back
		}
		if !errors.Is(err, core.ErrNotHeld) {
			t.Fatalf("VIOLATION O7: Break of free key %s: %+v, %v", key, lease, err)
		}
		return
	}
	if err != nil || !lease.Broken {
		t.Fatalf("VIOLATION O7: Break: %+v, %v", lease, err)
	}
	h.broken = true
	select {
	case <-h.lock.Context().Done():
	case <-time.After(soon):
	}
	if cause := context.Cause(h.lock.Context()); !errors.Is(cause, core.ErrBroken) {
		t.Fatalf("VIOLATION O4: broken, and its holder was told %v", cause)
	}
	if h.told.IsZero() {
		h.told = time.Now()
	}
}

func (m *model) inspect(t *rapid.T) {
	locker, key := m.draw(t)
	i, err := m.lockers[locker].Inspect(context.Background(), key)
	for end := time.Now().Add(soon); err == nil && m.held[key] == nil && m.left[key] && i.Lease != nil && time.Now().Before(end); {
		i, err = m.lockers[locker].Inspect(context.Background(), key)
	}
	if err != nil {
		t.Fatalf("VIOLATION O7: Inspect: %v", err)
	}
	if held := m.held[key] != nil; (i.Lease != nil) != held {
		t.Fatalf("VIOLATION O1: key %s: held is %v, Inspect tells %+v", key, held, i.Lease)
	}
}

func (m *model) cancelled(t *rapid.T) {
	locker, key := m.draw(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := m.lockers[locker].Acquire(ctx, key); !errors.Is(err, context.Canceled) {
		t.Fatalf("VIOLATION O7: with a context that has ended: %v", err)
	}
}

func (m *model) badKey(t *rapid.T) {
	locker, _ := m.draw(t)
	key := rapid.SampledFrom([]string{"", fmt.Sprintf("%0600d", 0)}).Draw(t, "bad key")
	if _, err := m.lockers[locker].Acquire(context.Background(), key); !errors.Is(err, core.ErrKey) {
		t.Fatalf("VIOLATION O7: a key of %d bytes: %v", len(key), err)
	}
}

// invariants hold after each step.
func (m *model) invariants(t *rapid.T) {
	of := make([]int, len(m.lockers))
	for key, h := range m.held {
		of[h.locker]++
		if !h.broken && (h.lock.Context().Err() != nil || h.lock.Remaining() <= 0) {
			t.Fatalf("VIOLATION O4: key %s is lost, and nothing is wrong: %v", key, context.Cause(h.lock.Context()))
		}
	}
	for i, l := range m.lockers {
		if s := l.Snapshot(); len(s.Holding) != of[i] || s.Requests != 0 {
			t.Fatalf("VIOLATION O6: locker %d holds %d keys and should hold %d; %d requests wait", i, len(s.Holding), of[i], s.Requests)
		}
	}
	// A broken lease is not renewed. While others are broken whose holders hear of it
	// at their next renewal only, it would expire.
	for key, h := range m.held {
		if h.broken && time.Since(h.told) > time.Second {
			m.give(t, key)
		}
	}
}

// releaseAll ends a run, which is to leave nothing in Redis. One that has failed
// already is not judged again.
func (m *model) releaseAll(t *rapid.T) {
	for _, h := range m.held {
		_ = h.lock.Release(context.Background())
	}
	for _, key := range m.keys {
		i, err := m.lockers[0].Inspect(context.Background(), key)
		for end := time.Now().Add(soon); err == nil && (i.Lease != nil || i.Waiting > 0) && time.Now().Before(end); {
			i, err = m.lockers[0].Inspect(context.Background(), key)
		}
		if !t.Failed() && (err != nil || i.Lease != nil || i.Waiting > 0) {
			t.Errorf("VIOLATION O6: key %s: everybody has gone, and Redis has %+v, %v", key, i, err)
		}
	}
}
