package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/internal/torture/history"
)

// Work is what the processes of a fleet do.
type Work struct {
	TTL, Wait time.Duration
	Keys      int
	Callers   int           // of each process
	Hold      time.Duration // at most, of most holders
	Long      int           // of 100 holders, how many stay for up to 2 × TTL
	Rest      time.Duration // between two calls, at most
	Impatient int           // of 100 calls, how many do not wait
	// Lines is set if each process has a key of its own, for which its callers stand
	// in line. Those who do not wait ask for another's.
	Lines    bool
	Leavers  int  // of 100 calls, how many have a deadline
	Heedless int  // of 100 holders, how many go on when they have lost the lock
	Attempts int  // of each process; 0 is until told to end
	Watch    bool // each holder, for whether it is told of a loss in time
	Prompt   bool // the next in line is to be in soon, see recoveries

	// Set by the fleet.
	Redis, Store string
	Process      uint32
	Seed         uint64
}

// grace is what a process is given to do what is due at once: O4 and O7.
const grace = 250 * time.Millisecond

// The processes' connections are known by their name, so that they can be counted.
const (
	clientName = "torture"
	poolSize   = 16
)

// Env holds the work of a process that a fleet has started.
const Env = "LATCHKEY_TORTURE_WORK"

// Child carries out the work that the environment holds, and ends the process; it
// returns at once if there is none.
func Child() {
	text := os.Getenv(Env)
	if text == "" {
		return
	}
	var w Work
	err := json.Unmarshal([]byte(text), &w)
	if err == nil {
		err = w.carryOut(os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "torture: a process:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// worker is a process at work.
type worker struct {
	Work
	recorder
	lag    lagMeter
	locker *core.RedisLocker
	stores *redis.Client
	number atomic.Uint32 // of the last attempt
	over   atomic.Bool
}

// carryOut works until it is done, or in ends.
func (w Work) carryOut(in io.Reader, out io.Writer) error {
	redis.SetLogger(silence{})
	k := &worker{Work: w, recorder: recorder{out: out}}
	rdb := redis.NewClient(&redis.Options{
		Addr: w.Redis, ClientName: clientName, ContextTimeoutEnabled: w.Process%2 == 0, PoolSize: poolSize,
	})
	k.stores = redis.NewClient(&redis.Options{Addr: w.Store})
	var err error
	if k.locker, err = core.New(rdb, core.TTL(w.TTL), core.Wait(w.Wait)); err != nil {
		return err
	}
	hail, err := hailed(k.locker.Snapshot().Process)
	if err != nil {
		return err
	}
	k.tell(hail)
	go func() {
		_, _ = io.Copy(io.Discard, in)
		k.over.Store(true)
	}()
	stopLag := k.lag.start(func(l lateness) {
		k.tell(record{what: lagged, at: l.at, proven: l.by})
	})
	var callers sync.WaitGroup
	for i := range w.Callers {
		callers.Go(func() {
			c := &caller{worker: k, random: rand.New(rand.NewPCG(w.Seed, uint64(w.Process)<<32|uint64(i)))}
			for !k.over.Load() && (w.Attempts == 0 || int(k.number.Load()) < w.Attempts) {
				c.call()
				if w.Rest > 0 {
					time.Sleep(c.upTo(w.Rest))
				}
			}
		})
	}
	callers.Wait()
	stopLag()
	err = errors.Join(k.locker.Close(), rdb.Close(), k.stores.Close())
	var left byte
	if leaked := goleak.Find(goleak.IgnoreAnyFunction("io.Copy")); leaked != nil {
		left = 1
		fmt.Fprintln(os.Stderr, leaked)
	}
	k.tell(record{what: bye, class: left})
	return err
}

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// caller is one of the process's goroutines.
type caller struct {
	*worker
	random *rand.Rand
}

func (c *caller) upTo(most time.Duration) time.Duration {
	return time.Duration(c.random.Int64N(int64(most) + 1))
}

func (c *caller) percent(n int) bool { return c.random.IntN(100) < n }

// deadlineOf is a context's deadline on the machine's clock.
func deadlineOf(ctx context.Context) time.Duration {
	end, _ := ctx.Deadline()
	for {
		at := now()
		left := time.Until(end)
		if now()-at < time.Millisecond { // else the process may have been stopped in between
			return at + left
		}
	}
}

// call is one attempt and, if it is granted, one tenure.
func (c *caller) call() {
	ctx, wait := context.Background(), c.Wait
	if c.percent(c.Impatient) {
		wait = 0
	}
	key := c.key(wait == 0)
	r := record{key: uint16(key), attempt: c.number.Add(1)}
	say := func(what byte) {
		r.what, r.at = what, now()
		c.tell(r)
	}
	deadline := history.Never
	if c.percent(c.Leavers) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.upTo(c.TTL))
		defer cancel()
		deadline = deadlineOf(ctx)
	}
	r.token, r.proven = uint64(wait), deadline
	say(asked)
	r.token, r.proven = 0, 0
	lock, err := c.locker.Acquire(ctx, KeyName(key), core.Wait(wait))
	if err != nil {
		r.class = classOf(err)
		say(failed)
		return
	}
	r.token = lock.Token()
	c.hold(lock, &r, say)
}

// key is the number of one that is wanted, by one who does not wait or one who does.
func (c *caller) key(impatient bool) int {
	own := int(c.Process-1) % c.Keys
	switch {
	case !c.Lines:
		return c.random.IntN(c.Keys)
	case impatient && c.Keys > 1:
		return (own + 1 + c.random.IntN(c.Keys-1)) % c.Keys
	default:
		return own
	}
}

// hold is a tenure, as a service has it: it writes, works, writes again.
func (c *caller) hold(lock core.Lock, r *record, say func(byte)) {
	look := func(what byte) {
		r.proven = 0
		at := now() // before asking: the proof lasts longer than this says, if anything
		if left := lock.Remaining(); left > 0 {
			r.proven = at + left
		}
		say(what)
	}
	look(granted)
	if c.Watch {
		done := make(chan struct{})
		defer func() { <-done }()
		go func() {
			defer close(done)
			c.watch(lock, r.attempt)
		}()
	}
	stay := c.upTo(c.Hold)
	if c.percent(c.Long) {
		stay = c.upTo(2 * c.TTL)
	}
	heedless := c.percent(c.Heedless)
	write := func() {
		err := writeTo(context.Background(), c.stores, lock.Key(), lock.Token(), attemptID{c.Process, r.attempt})
		if err != nil { // no fault strikes the stores: without them nothing is seen
			fmt.Fprintln(os.Stderr, "torture: a write:", err)
			c.tell(record{what: unwritten, attempt: r.attempt, at: now()})
		}
	}
	write()
	for slices := 1 + int(stay/(c.TTL/8)); slices > 0; slices-- {
		time.Sleep(stay / time.Duration(1+int(stay/(c.TTL/8))))
		if lock.Context().Err() != nil && !heedless {
			break
		}
		if stay > c.TTL/8 {
			look(proven)
		}
	}
	if stay > 0 {
		write()
	}
	say(freed)
	if err := lock.Release(context.Background()); err != nil {
		r.class = classOf(err)
		say(unreturned)
		return
	}
	say(back)
}

// watch is O4: a holder whose proof has ended is told in time. A process that was
// stopped counts from when it goes on.
func (c *caller) watch(lock core.Lock, attempt uint32) {
	for lock.Context().Err() == nil {
		left := lock.Remaining()
		if left > 0 {
			select {
			case <-time.After(left):
			case <-lock.Context().Done():
			}
			continue
		}
		noticed := now()
		select {
		case <-lock.Context().Done():
		case <-time.After(10 * grace):
		}
		if over := now() - noticed; !c.lag.excuses(over, noticed) {
			c.tell(record{what: late, attempt: attempt, at: now(), proven: over})
		}
		return
	}
}
