package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

// TestNothingGoesWrongWhateverIsLostLateOrRepeated lets several processes
// contend while operations are delayed, lost before or after they are done, and
// done a second time much later; while subscriptions are cut or stopped with
// grants in their sockets; and while callers leave. Nobody may hold beside
// another's proven validity, tokens rise, nobody waits for a key that is free,
// and at the end nothing is left.
func TestNothingGoesWrongWhateverIsLostLateOrRepeated(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) { newStress(t, b, seed).run() })
		})
	}
}

const (
	stressLockers = 3
	stressCallers = 5 // of each
	stressRounds  = 25
	stressKeys    = 2
	// stressPatience is far more than all others' holds and all leases that
	// their faults may leave behind, one after another.
	stressPatience = time.Minute
)

var stressTTLs = []time.Duration{200 * time.Millisecond, 500 * time.Millisecond, time.Second}

type stress struct {
	t    *testing.T
	b    *bubble
	calm atomic.Bool // no more faults

	mu   sync.Mutex // rand.Rand is not safe for concurrent use
	rand *rand.Rand

	sections [stressKeys]stressSection
	granted  atomic.Int64
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
	callers.Wait()
	if n := s.granted.Load(); n < stressLockers*stressCallers*stressRounds/4 {
		t.Errorf("only %d grants: the faults leave nothing to be seen", n)
	}

	s.calm.Store(true)
	elapse(10 * time.Second) // what is late arrives, what is nobody's expires
	for i, l := range lockers {
		l.mu.Lock()
		if len(l.queues) != 0 || len(l.entries) != 0 || l.waiting != 0 || l.holders != 0 {
			t.Errorf("locker %d keeps %d queues, %d entries, %d waiting, %d holders",
				i, len(l.queues), len(l.entries), l.waiting, l.holders)
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

// call is one request, with terms of its own.
func (s *stress) call(l *RedisLocker) {
	n := s.below(stressKeys)
	opts := []AcquireOption{
		TTL(stressTTLs[s.below(len(stressTTLs))]),
		Wait(stressPatience),
		WithMeta(Meta{RequestID: fmt.Sprint(s.below(1000))}),
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
		if errors.Is(err, ErrWaitTimeout) || errors.Is(err, ErrQueueFull) || errors.Is(err, ErrClosed) {
			s.t.Errorf("a caller was left waiting: %v", err)
		}
		time.Sleep(s.upTo(20 * time.Millisecond))
		return
	}
	s.granted.Add(1)
	k := held.(*lock)
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
	_ = k.Release(ctx) // ErrLost, ErrBackend: both may be true
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
	client := func(dial func() (net.Conn, error)) *redis.Client {
		c := redis.NewClient(&redis.Options{
			Addr:       "127.0.0.1:6379", // never dialled
			PoolSize:   32,
			MaxRetries: -1, // the faults are its retries
			Dialer:     func(context.Context, string, string) (net.Conn, error) { return dial() },
		})
		s.t.Cleanup(func() { c.Close() })
		return c
	}
	again := client(s.b.srv.Dial)
	rdb := client(func() (net.Conn, error) {
		c, err := s.b.srv.Dial()
		return &faultyConn{Conn: c, stress: s}, err
	})
	rdb.AddHook(faultyPath{s, again})
	l, err := New(rdb)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { l.Close() })
	return l
}

// faultyPath delays, loses and repeats operations.
type faultyPath struct {
	stress *stress
	again  *redis.Client
}

func (p faultyPath) DialHook(next redis.DialHook) redis.DialHook { return next }
func (p faultyPath) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (p faultyPath) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if name := cmd.Name(); name != "evalsha" && name != "eval" || p.stress.calm.Load() {
			return next(ctx, cmd)
		}
		lost := func() error {
			cmd.SetErr(io.ErrUnexpectedEOF)
			return io.ErrUnexpectedEOF
		}
		late := func() {
			time.Sleep(p.stress.upTo(2 * time.Second))
			p.again.Do(context.WithoutCancel(ctx), cmd.Args()...)
		}
		time.Sleep(p.stress.upTo(2 * time.Millisecond))
		switch p.stress.below(40) {
		case 0:
			return lost()
		case 1:
			_ = next(ctx, cmd)
			return lost()
		case 2: // lost on this side only: it is still to be done
			go late()
			return lost()
		case 3: // as if the client had repeated it inside, and the first arrived last
			go late()
		case 4:
			time.Sleep(p.stress.upTo(700 * time.Millisecond))
		case 5:
			err := next(ctx, cmd)
			time.Sleep(p.stress.upTo(700 * time.Millisecond))
			return err
		}
		err := next(ctx, cmd)
		time.Sleep(p.stress.upTo(time.Millisecond))
		return err
	}
}

// faultyConn cuts and stops subscriptions.
type faultyConn struct {
	net.Conn
	stress     *stress
	subscribed atomic.Bool
}

func (c *faultyConn) Write(b []byte) (int, error) {
	if strings.Contains(string(b), "subscribe") {
		c.subscribed.Store(true)
	}
	return c.Conn.Write(b)
}

func (c *faultyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil || !c.subscribed.Load() || c.stress.calm.Load() {
		return n, err
	}
	switch c.stress.below(20) {
	case 0:
		c.Conn.Close()
		return 0, io.EOF // and what came is lost
	case 1:
		time.Sleep(c.stress.upTo(2 * time.Second))
	default:
		time.Sleep(c.stress.upTo(time.Millisecond))
	}
	return n, err
}

var _ = synctest.Wait
