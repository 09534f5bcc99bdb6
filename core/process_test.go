package core_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// The test binary is also the helper that its tests start as processes of
// their own.
const childEnv = "LATCHKEY_TEST_CHILD"

func TestMain(m *testing.M) {
	if role := os.Getenv(childEnv); role != "" {
		if err := child(role, os.Getenv("LATCHKEY_TEST_REDIS")); err != nil {
			fmt.Fprintln(os.Stderr, role+":", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// process is a running child.
type process struct {
	*exec.Cmd
	out   *bufio.Scanner
	stdin io.WriteCloser
}

func startChild(t *testing.T, srv *locktest.Redis, role string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+role, "LATCHKEY_TEST_REDIS="+srv.Addr())
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &process{Cmd: cmd, out: bufio.NewScanner(stdout), stdin: stdin}
}

// says reads the child's next line, which must begin with a word.
func (p *process) says(t *testing.T, word string) string {
	t.Helper()
	if !p.out.Scan() {
		t.Fatalf("the child ended before it said %q", word)
	}
	rest, ok := strings.CutPrefix(p.out.Text(), word)
	if !ok {
		t.Fatalf("the child said %q, want %q", p.out.Text(), word)
	}
	return strings.TrimSpace(rest)
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// awaitStop returns when a process that was sent SIGSTOP has stopped.
func (p *process) awaitStop(t *testing.T) {
	t.Helper()
	var status syscall.WaitStatus
	for !status.Stopped() {
		if _, err := syscall.Wait4(p.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil && err != syscall.EINTR {
			t.Fatal(err)
		}
	}
}

// childTTL is for how long the lock of a helper process that has died is held.
const childTTL = 3 * time.Second

// child is the main function of a helper process.
func child(role, addr string) error {
	goroutines := runtime.NumGoroutine()
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	ttl := childTTL
	if role == "contend" {
		ttl = 10 * time.Second // no machine is so busy that a lease is lost
	}
	l, err := core.New(rdb, core.TTL(ttl))
	if err != nil {
		return err
	}
	switch role {
	case "hold", "wait":
		fmt.Println("begins")
		lock, err := l.Acquire(context.Background(), "k")
		if err != nil {
			return err
		}
		fmt.Println("holds", lock.Token(), lock.Remaining())
		_, _ = io.Copy(io.Discard, os.Stdin) // until killed, or told to go on
		if err := lock.Release(context.Background()); err != nil {
			return err
		}
		return l.Close()
	case "contend":
		r := contend(l, rdb)
		if err := l.Close(); err != nil {
			r.Problems = append(r.Problems, err.Error())
		}
		if err := rdb.Close(); err != nil {
			return err
		}
		r.Goroutines = settle(goroutines) - goroutines
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	return fmt.Errorf("unknown role %q", role)
}

// settle waits until no more goroutines are there than before, and returns how
// many are. Those of the client end a moment after its Close.
func settle(before int) int {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if runtime.NumGoroutine() <= before {
			break
		}
	}
	return runtime.NumGoroutine()
}

// report is what one contending process has seen.
type report struct {
	Entries    int
	Problems   []string
	Goroutines int // left over
}

const contendKeys, contendGoroutines = 8, 8

// contendFor is how long the processes contend, unless the environment says
// otherwise.
func contendFor() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("LATCHKEY_TEST_CONTEND")); err == nil {
		return d
	}
	return 5 * time.Second
}

// enter counts who is inside, in database 1 of the server, and checks the
// token against the highest that any process has seen.
var enter = redis.NewScript(`
local inside = redis.call('INCR', KEYS[1])
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
local token = tonumber(ARGV[1])
if token > last then redis.call('SET', KEYS[2], ARGV[1]) end
return {inside, token > last and 1 or 0}`)

func contend(l *core.RedisLocker, rdb *redis.Client) report {
	o := *rdb.Options()
	o.DB = 1
	check := redis.NewClient(&o)
	defer check.Close()
	ctx, cancel := context.WithTimeout(context.Background(), contendFor())
	defer cancel()
	var mu sync.Mutex
	var r report
	problem := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
	var wg sync.WaitGroup
	for g := range contendGoroutines {
		wg.Go(func() {
			bg := context.Background()
			for n := g; ctx.Err() == nil; n++ {
				key := "key" + strconv.Itoa(n%contendKeys)
				lock, err := l.Acquire(ctx, key)
				if err != nil {
					if ctx.Err() == nil {
						problem("Acquire: %v", err)
					}
					continue
				}
				seen, err := enter.Run(bg, check, []string{"inside:" + key, "token:" + key}, strconv.FormatUint(lock.Token(), 10)).Int64Slice()
				switch {
				case err != nil:
					problem("check: %v", err)
				case seen[0] != 1:
					problem("%s: %d holders at once", key, seen[0])
				case seen[1] != 1:
					problem("%s: token %d did not rise", key, lock.Token())
				}
				if err := check.Decr(bg, "inside:"+key).Err(); err != nil {
					problem("check: %v", err)
				}
				if err := lock.Release(bg); err != nil {
					problem("Release: %v", err)
				}
				mu.Lock()
				r.Entries++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return r
}

func TestFourProcessesNeverOverlapAndLeaveNothing(t *testing.T) {
	srv := locktest.StartRedis(t)
	var all []*process
	for range 4 {
		all = append(all, startChild(t, srv, "contend"))
	}
	total := 0
	for i, p := range all {
		var r report
		if err := json.Unmarshal([]byte(p.says(t, "")), &r); err != nil {
			t.Fatal(err)
		}
		for _, s := range r.Problems[:min(5, len(r.Problems))] {
			t.Errorf("process %d: %s", i, s)
		}
		if r.Goroutines > 0 {
			t.Errorf("process %d: %d goroutines left", i, r.Goroutines)
		}
		if r.Entries == 0 {
			t.Errorf("process %d never got in", i)
		}
		t.Logf("process %d: %d holders", i, r.Entries)
		total += r.Entries
		if err := p.Wait(); err != nil {
			t.Errorf("process %d: %v", i, err)
		}
	}
	t.Logf("%d holders in all", total)
	rdb := srv.Client(nil)
	onlyFences(t, rdb)
	l := newLocker(t, rdb)
	for k := range contendKeys {
		lock, err := l.TryAcquire(t.Context(), "key"+strconv.Itoa(k))
		if err != nil {
			t.Errorf("not free afterwards: %v", err)
			continue
		}
		_ = lock.Release(t.Context())
	}
}

func TestAfterAHolderIsKilledTheNextIsInWithinTheTTL(t *testing.T) {
	t.Parallel()
	srv := locktest.StartRedis(t)
	l := newLocker(t, srv.Client(nil), core.TTL(childTTL))
	holder := startChild(t, srv, "hold")
	holder.says(t, "begins")
	token := must[uint64](t)(strconv.ParseUint(strings.Fields(holder.says(t, "holds"))[0], 10, 64))
	got := make(chan core.Lock, 1)
	go func() {
		lock, err := l.Acquire(t.Context(), "k")
		if err != nil {
			t.Error(err)
		}
		got <- lock
	}()
	rdb := srv.Client(nil)
	eventually(t, "it waits", waitsInRedis(t, rdb, 1))
	lease := must[[]string](t)(rdb.Keys(t.Context(), "*:l:k").Result())[0]
	last := childTTL
	eventually(t, "the lease is renewed", func() bool {
		before := last
		last = must[time.Duration](t)(rdb.PTTL(t.Context(), lease).Result())
		return last > before
	})
	killed := time.Now()
	holder.signal(t, syscall.SIGKILL)
	lock := <-got
	if lock == nil {
		return
	}
	if d, most := time.Since(killed), childTTL+time.Second; d > most {
		t.Errorf("the next is in after %v, want at most %v", d, most)
	} else {
		t.Logf("the next is in after %v", d)
	}
	if lock.Token() <= token {
		t.Errorf("token %d after %d", lock.Token(), token)
	}
	_ = lock.Release(t.Context())
}

// A waiter that is killed costs the next one nothing: its connection is closed,
// and PUBLISH counts nobody.
func TestAKilledWaiterIsSkipped(t *testing.T) {
	srv := locktest.StartRedis(t)
	a, b := newLocker(t, srv.Client(nil)), newLocker(t, srv.Client(nil))
	rdb := srv.Client(nil)
	lock := must[core.Lock](t)(a.Acquire(t.Context(), "k"))
	waiter := startChild(t, srv, "wait")
	waiter.says(t, "begins")
	eventually(t, "the child waits", waitsInRedis(t, rdb, 1))
	got := make(chan time.Time, 1)
	go func() {
		lock, err := b.Acquire(t.Context(), "k")
		if err != nil {
			t.Error(err)
		} else {
			_ = lock.Release(t.Context())
		}
		got <- time.Now()
	}()
	eventually(t, "another waits behind it", waitsInRedis(t, rdb, 2))
	waiter.signal(t, syscall.SIGKILL)
	_ = waiter.Wait()
	eventually(t, "Redis knows", func() bool {
		return len(rdb.PubSubChannels(t.Context(), "latchkey:w:*").Val()) == 1
	})
	released := time.Now()
	if err := lock.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if d := (<-got).Sub(released); d > time.Second { // not after the killed one's TTL
		t.Errorf("the next is in after %v", d)
	}
}

// The grant is in the socket of a stopped process when its lease expires, and
// another gets the lock. Woken up, it must not run under that grant.
func TestAWaiterThatIsStoppedBeyondItsGrantDoesNotRunUnderIt(t *testing.T) {
	t.Parallel()
	srv := locktest.StartRedis(t)
	l := newLocker(t, srv.Client(nil))
	rdb := srv.Client(nil)
	first := must[core.Lock](t)(l.Acquire(t.Context(), "k"))
	waiter := startChild(t, srv, "wait")
	waiter.says(t, "begins")
	eventually(t, "the child waits", waitsInRedis(t, rdb, 1))
	waiter.signal(t, syscall.SIGSTOP)
	waiter.awaitStop(t) // it runs on for a moment, and could still take the grant
	if err := first.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if !waitsInRedis(t, rdb, 0)() {
		t.Fatal("the stopped child was not granted the lock")
	}
	second := must[core.Lock](t)(l.Acquire(t.Context(), "k")) // when the child's lease has expired

	said := make(chan string, 1)
	go func() {
		if waiter.out.Scan() {
			said <- waiter.out.Text()
		}
		close(said)
	}()
	waiter.signal(t, syscall.SIGCONT)
	select {
	case s := <-said:
		t.Fatalf("woken up, while another holds the lock, the child %s", s)
	case <-time.After(1500 * time.Millisecond):
	}
	if second.Context().Err() != nil {
		t.Errorf("the child took the lock away: %v", context.Cause(second.Context()))
	}
	if err := second.Release(t.Context()); err != nil {
		t.Error(err)
	}
	s := <-said
	token := must[uint64](t)(strconv.ParseUint(strings.Fields(strings.TrimPrefix(s, "holds"))[0], 10, 64))
	if token <= second.Token() {
		t.Errorf("token %d after %d", token, second.Token())
	}
	_ = waiter.stdin.Close()
	if err := waiter.Wait(); err != nil {
		t.Error(err)
	}
}
