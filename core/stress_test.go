package core

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// TestNothingGoesWrongWhateverIsLostLateOrRepeated lets several processes
// contend while operations are delayed, lost before or after they are done, and
// done a second time much later; while subscriptions are cut or stopped with
// grants in their sockets; while callers leave, and Lockers are shut down. The
// processes have tenures of all lengths, and some make inline calls. An operator
// breaks leases all the time. Nobody may
// hold beside another's proven validity, tokens rise, nobody waits for a key that
// is free, and at the end nothing is left.
func TestNothingGoesWrongWhateverIsLostLateOrRepeated(t *testing.T) {
	for seed := range stressSeeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) { newStress(t, b, seed).run() })
		})
	}
}

const (
	stressSeeds   = uint64(2)
	stressLockers = 3
	stressCallers = 5 // of each
	stressRounds  = 20
	stressMortals = 5
	stressKeys    = 2
	// stressPatience is far more than all others' holds and all leases that
	// their faults may leave behind, one after another.
	stressPatience = time.Minute
)

var (
	stressTTLs    = []time.Duration{200 * time.Millisecond, 500 * time.Millisecond, time.Second}
	stressTenures = []time.Duration{0, time.Millisecond, 30 * time.Millisecond, MaxTenure}
)

type stress struct {
	t    *testing.T
	b    *bubble
	calm atomic.Bool // no more faults

	mu   sync.Mutex // rand.Rand is not safe for concurrent use
	rand *rand.Rand

	lockers  int // made so far
	sections [stressKeys]stressSection
	granted  atomic.Int64
	local    atomic.Int64 // of them, without a word to Redis
	lone     atomic.Int64 // trips
	breaks   atomic.Int64
	broken   atomic.Int64 // holders that were stopped by them
}

func newStress(t *testing.T, b *bubble, seed uint64) *stress {
	return &stress{t: t, b: b, rand: rand.New(rand.NewPCG(seed, 1))}
}

func (s *stress) run() {
	t := s.t
	var lockers []*RedisLocker
	for range stressLockers {
		lockers = append(lockers, s.locker())
	}
	var callers sync.WaitGroup
	for _, l := range lockers {
		for range stressCallers {
			callers.Go(func() {
				for range stressRounds {
					s.call(l)
				}
			})
		}
	}
	var mortals []*RedisLocker
	for range stressMortals {
		mortals = append(mortals, s.mortal())
	}
	stop := s.operate()
	callers.Wait()
	stop()
	if n := s.granted.Load(); n < stressLockers*stressCallers*stressRounds/4 {
		t.Errorf("only %d grants: the faults leave nothing to be seen", n)
	}
	if local, lone := s.local.Load(), s.lone.Load(); local == 0 || lone == 0 {
		t.Errorf("%d local handoffs, %d lone trips: there is nothing to be seen", local, lone)
	}
	if breaks, broken := s.breaks.Load(), s.broken.Load(); breaks == 0 || broken == 0 {
		t.Errorf("%d breaks, %d holders stopped: there is nothing to be seen", breaks, broken)
	}
	t.Logf("%d grants, %d of them local; %d lone trips; %d breaks, %d holders stopped by them",
		s.granted.Load(), s.local.Load(), s.lone.Load(), s.breaks.Load(), s.broken.Load())

	s.calm.Store(true)
	// What is late arrives, what is nobody's expires: the last is a queue in which
	// only a late acquire of a closed Locker stands, after a minute.
	elapse(2 * time.Minute)
	for i, l := range append(mortals, lockers...) {
		l.mu.Lock()
		if n := l.machine.Size(); n != 0 {
			t.Errorf("locker %d keeps %d lines, entries, requests and holders", i, n)
		}
		l.mu.Unlock()
	}
	for _, name := range s.b.srv.Keys() {
		if !strings.HasSuffix(name, ":fence") {
			t.Errorf("left in Redis: %s", name)
		}
	}
	for _, l := range lockers {
		free(t, get(t, l, stressKey(0), Wait(0)))
	}
}

func stressKey(i int) string { return fmt.Sprint("k", i) }

// mortal is a locker that is shut down at work, and returned.
func (s *stress) mortal() *RedisLocker {
	l := s.locker()
	var callers sync.WaitGroup
	for range stressCallers {
		callers.Go(func() {
			for !errors.Is(s.call(l), ErrClosed) {
			}
		})
	}
	time.Sleep(s.upTo(500 * time.Millisecond))
	ctx, cancel := context.WithTimeout(s.t.Context(), s.upTo(100*time.Millisecond))
	defer cancel()
	_ = l.Shutdown(ctx) // tells whether any were cut off
	callers.Wait()
	return l
}

// call is one request, with terms of its own. Its error is the acquisition's.
func (s *stress) call(l *RedisLocker) error {
	n := s.below(stressKeys)
	opts := []AcquireOption{
		Wait(stressPatience),
		WithMeta(Meta{RequestID: fmt.Sprint(s.below(1000))}),
	}
	if s.below(4) == 0 { // than most of its process
		opts = append(opts, TTL(stressTTLs[s.below(len(stressTTLs))]))
	}
	if s.below(5) == 0 {
		opts = append(opts, Wait(0))
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	if s.below(4) == 0 {
		defer time.AfterFunc(s.upTo(300*time.Millisecond), cancel).Stop()
	}
	held, err := l.Acquire(ctx, stressKey(n), opts...)
	if err != nil {
		if errors.Is(err, ErrWaitTimeout) || errors.Is(err, ErrQueueFull) {
			s.t.Errorf("a caller was left waiting: %v", err)
		}
		time.Sleep(s.upTo(20 * time.Millisecond))
		return err
	}
	s.granted.Add(1)
	k := held.(*lock)
	if k.Info().Handoff == HandoffLocal {
		s.local.Add(1)
	}
	stay := s.upTo(20 * time.Millisecond)
	if s.below(10) == 0 {
		stay = s.upTo(1500 * time.Millisecond) // across renewals
	}
	s.sections[n].enter(s.t, k)
	for range 5 {
		time.Sleep(stay / 5)
		s.sections[n].look(s.t, k)
	}
	s.sections[n].leave(k)
	if stopCause(k.Context()) == ErrBroken {
		s.broken.Add(1)
	}
	_ = k.Release(ctx) // ErrLost, ErrBackend: both may be true
	return nil
}

// stressSection knows who is inside.
type stressSection struct {
	mu     sync.Mutex
	inside map[*lock]bool
	last   uint64
}

func (s *stressSection) enter(t *testing.T, k *lock) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inside == nil {
		s.inside = map[*lock]bool{}
	}
	if k.token <= s.last {
		t.Errorf("key %s: token %d after %d", k.key, k.token, s.last)
	}
	s.last = k.token
	s.inside[k] = true
	s.alone(t, k)
}

func (s *stressSection) look(t *testing.T, k *lock) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alone(t, k)
}

func (s *stressSection) leave(k *lock) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.inside, k)
}

// alone checks that nobody else has proof of holding while k has. The caller
// holds mu.
func (s *stressSection) alone(t *testing.T, k *lock) {
	if k.Remaining() <= 0 {
		return
	}
	for other := range s.inside {
		if other != k && other.Remaining() > 0 {
			t.Errorf("key %s: token %d (%v remaining) and token %d (%v remaining) at once",
				k.key, k.token, k.Remaining(), other.token, other.Remaining())
		}
	}
}

func (s *stress) below(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rand.IntN(n)
}

func (s *stress) upTo(d time.Duration) time.Duration {
	return time.Duration(s.below(int(d/time.Microsecond))) * time.Microsecond
}

// locker returns a Locker whose way to Redis has faults.
func (s *stress) locker() *RedisLocker {
	s.t.Helper()
	s.lockers++
	heeds := s.lockers%2 == 0
	client := func(dial func() (net.Conn, error)) *redis.Client {
		c := redis.NewClient(&redis.Options{
			Addr:                  "127.0.0.1:6379", // never dialled
			PoolSize:              32,
			MaxRetries:            -1, // the faults are its retries
			ContextTimeoutEnabled: heeds,
			Dialer:                func(context.Context, string, string) (net.Conn, error) { return dial() },
		})
		s.t.Cleanup(func() { c.Close() })
		return c
	}
	again := client(s.b.srv.Dial)
	rdb := client(func() (net.Conn, error) {
		c, err := s.b.srv.Dial()
		return &faultyConn{Conn: c, stress: s}, err
	})
	path := faultyPath{stress: s, again: again, way: 2 * time.Millisecond}
	if heeds {
		path.way = 500 * time.Microsecond // a slow Redis would have no inline calls
	}
	rdb.AddHook(path)
	l, err := New(rdb, SharedClient(), // the path is a hook
		Tenure(stressTenures[s.below(len(stressTenures))]), TTL(stressTTLs[s.below(len(stressTTLs))]))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { l.Close() })
	return l
}
