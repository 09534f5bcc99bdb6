package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// desk is an operator's: a Redis, and a service that uses it.
type desk struct {
	*testing.T
	srv     *locktest.Redis
	service *core.RedisLocker
}

func newDesk(t *testing.T) *desk {
	d := &desk{T: t, srv: locktest.StartRedis(t)}
	d.service = d.another(core.WithMeta(core.Meta{Service: "pay", Host: "host-1", PID: 42}))
	return d
}

// another returns a Locker of another process.
func (d *desk) another(opts ...core.Option) *core.RedisLocker {
	d.Helper()
	locker, err := core.New(d.srv.Client(nil), opts...)
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() { locker.Close() })
	return locker
}

// hold has the service hold a key.
func (d *desk) hold(key string, opts ...core.AcquireOption) core.Lock {
	d.Helper()
	lock, err := d.service.Acquire(d.Context(), key, opts...)
	if err != nil {
		d.Fatal(err)
	}
	return lock
}

// outcome is what a run of lockctl came to.
type outcome struct {
	status   int
	out, err string
}

// run runs lockctl with nobody at its terminal.
func (d *desk) run(args ...string) outcome {
	d.Helper()
	return d.runWith(d.Context(), console{env: noEnv}, args...)
}

// answering runs lockctl with somebody who types a line.
func (d *desk) answering(line string, args ...string) outcome {
	d.Helper()
	return d.runWith(d.Context(), console{env: noEnv, terminal: true, in: strings.NewReader(line + "\n")}, args...)
}

func (d *desk) runWith(ctx context.Context, c console, args ...string) outcome {
	d.Helper()
	var out, errs bytes.Buffer
	c.out, c.err = &out, &errs
	status := run(ctx, append([]string{"-redis", d.srv.Addr()}, args...), c)
	return outcome{status, out.String(), errs.String()}
}

// want fails the test unless the run ended so, and said all of what is to be said
// on the standard output or the standard error.
func (o outcome) want(t *testing.T, status int, said ...string) {
	t.Helper()
	if o.status != status {
		t.Errorf("exit status %d, want %d", o.status, status)
	}
	for _, s := range said {
		if !strings.Contains(o.out+o.err, s) {
			t.Errorf("it did not say %q", s)
		}
	}
	if t.Failed() {
		t.Fatalf("it said:\n%s\nand on the standard error:\n%s", o.out, o.err)
	}
}

func TestListShowsEachLease(t *testing.T) {
	d := newDesk(t)
	d.run("ls").want(t, exitOK, "nobody holds a lock", "latchkey")
	d.hold("order:2", core.WithMeta(core.Meta{RequestID: "r-2"}))
	d.hold("order:1")
	d.hold("evil\x1b[2J\tkey")
	o := d.run("ls")
	o.want(t, exitOK, "KEY", "EXPIRES IN", "pay on host-1 pid 42 request r-2", "held", `"evil\x1b[2J\tkey"`)
	if lines := strings.Split(strings.TrimSpace(o.out), "\n"); len(lines) != 4 || strings.Index(o.out, "order:1") > strings.Index(o.out, "order:2") {
		t.Errorf("not a line for each, in order:\n%s", o.out)
	}
	d.run("-prefix", "other", "ls").want(t, exitOK, "nobody holds a lock", "other")

	o = d.run("-json", "ls")
	o.want(t, exitOK)
	n := 0
	for dec := json.NewDecoder(strings.NewReader(o.out)); dec.More(); n++ {
		var l core.LeaseInfo
		if err := dec.Decode(&l); err != nil || l.Key == "" || l.ID == "" || l.Holder.Service != "pay" || l.TTL <= 0 {
			t.Errorf("%+v, %v", l, err)
		}
	}
	if n != 3 || strings.Count(o.out, "\n") != 3 {
		t.Errorf("%d objects, want one a line:\n%s", n, o.out)
	}
}

func TestInspectShowsHolderAndLine(t *testing.T) {
	d := newDesk(t)
	d.run("inspect", "k").want(t, exitNotThere, "nobody holds k")
	lock := d.hold("k", core.WithMeta(core.Meta{RequestID: "r-1"}))
	other := d.another(core.WithMeta(core.Meta{Service: "billing"}))
	ctx, leave := context.WithCancel(t.Context())
	waited := make(chan error, 1)
	go func() {
		_, err := other.Acquire(ctx, "k")
		waited <- err
	}()
	d.await("a waiter", func(i *core.Inspection) bool { return i.Waiting == 1 })
	d.run("inspect", "k").want(t, exitOK, "state", "held", "request r-1", "expires", "unless renewed", "WAITS FOR", "billing")
	o := d.run("-json", "inspect", "k")
	o.want(t, exitOK)
	var i core.Inspection
	if err := json.Unmarshal([]byte(o.out), &i); err != nil || i.Lease.ID == "" || len(i.Queue) != 1 || i.LastToken != lock.Token() {
		t.Errorf("%+v, %v", i, err)
	}
	leave()
	if err := <-waited; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// await waits until what Redis has for the key k is so.
func (d *desk) await(what string, is func(*core.Inspection) bool) {
	d.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		i, err := d.service.Inspect(d.Context(), "k")
		if err != nil {
			d.Fatal(err)
		}
		if is(i) {
			return
		}
		if time.Now().After(deadline) {
			d.Fatalf("never: %s", what)
		}
	}
}

func TestWatchLooksAgain(t *testing.T) {
	d := newDesk(t)
	d.hold("k")
	o := d.run("watch", "-interval", "100ms", "-count", "3")
	o.want(t, exitOK)
	if strings.Count(o.out, "---") != 3 || strings.Count(o.out, "pay on host-1") != 3 {
		t.Errorf("not three looks:\n%s", o.out)
	}
	o = d.run("-json", "watch", "-interval", "100ms", "-count", "2")
	o.want(t, exitOK)
	dec := json.NewDecoder(strings.NewReader(o.out))
	for n := 0; n < 2; n++ {
		var w watched
		if err := dec.Decode(&w); err != nil || len(w.Leases) != 1 || w.At.IsZero() {
			t.Errorf("%+v, %v", w, err)
		}
	}
	d.run("-json", "watch", "-interval", "100ms", "-count", "2", "free").want(t, exitNotThere, `"lease":null`)
}

// interrupter interrupts at the n-th line that begins a look.
type interrupter struct {
	bytes.Buffer
	n         int
	interrupt func()
}

func (w *interrupter) Write(b []byte) (int, error) {
	if bytes.HasPrefix(b, []byte("---")) {
		if w.n--; w.n == 0 {
			w.interrupt()
		}
	}
	return w.Buffer.Write(b)
}

func TestWatchEndsWhenItIsInterruptedAndOutlivesAnOutage(t *testing.T) {
	d := newDesk(t)
	d.srv.Kill()
	ctx, interrupt := context.WithCancel(t.Context())
	out := &interrupter{n: 3, interrupt: interrupt}
	var errs bytes.Buffer
	status := run(ctx, []string{"-redis", d.srv.Addr(), "watch", "-interval", "100ms"}, console{out: out, err: &errs, env: noEnv})
	if status != exitOK || !strings.Contains(errs.String(), "cannot ask "+d.srv.Addr()) {
		t.Errorf("exit status %d\n%s\n%s", status, out, &errs)
	}
}

func TestAnErrorSaysWhatToDo(t *testing.T) {
	d := newDesk(t)
	long := strings.Repeat("k", core.MaxKeyLen+1)
	d.run("inspect", long).want(t, exitUsage, "KEY")
	d.run("-prefix", "{}", "ls").want(t, exitUsage, "prefix")
	d.run("nonsense").want(t, exitUsage, "-h")
	d.runWith(t.Context(), console{env: noEnv}, "-redis", "nowhere", "ls").want(t, exitUsage, "-redis")
	d.run("-h").want(t, exitOK, "usage")

	if err := d.srv.Client(nil).ConfigSet(t.Context(), "requirepass", "topsecret").Err(); err != nil {
		t.Fatal(err)
	}
	d.run("ls").want(t, exitFailed, "NOAUTH", passwordEnv)
	password := func(string) string { return "topsecret" }
	d.runWith(t.Context(), console{env: password}, "ls").want(t, exitOK)
	d.run("-redis", "redis://:topsecret@"+d.srv.Addr(), "ls").want(t, exitOK)
	o := d.run("-redis", "redis://:wrongsecret@"+d.srv.Addr(), "ls")
	o.want(t, exitFailed, "WRONGPASS")
	if strings.Contains(o.err, "wrongsecret") {
		t.Errorf("it shows the password: %s", o.err)
	}
	d.srv.Kill()
	d.run("inspect", "k").want(t, exitFailed, "cannot ask "+d.srv.Addr(), "-redis")
}

func TestLockctlOfAClusterAndOfSentinels(t *testing.T) {
	t.Run("cluster", func(t *testing.T) {
		c := locktest.StartCluster(t, 3, 0)
		locker, err := core.New(c.Client(nil))
		if err != nil {
			t.Fatal(err)
		}
		defer locker.Close()
		for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
			if _, err := locker.Acquire(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		elsewhere(t, "-cluster", strings.Join(c.Addrs(), ","))
	})
	t.Run("sentinel", func(t *testing.T) {
		s := locktest.StartSentinel(t, 1)
		locker, err := core.New(s.Client(nil))
		if err != nil {
			t.Fatal(err)
		}
		defer locker.Close()
		for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
			if _, err := locker.Acquire(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		elsewhere(t, "-sentinel", strings.Join(s.SentinelAddrs(), ","), "-master", s.MasterName())
	})
}

// elsewhere runs lockctl where six keys, a to f, are held.
func elsewhere(t *testing.T, flags ...string) {
	t.Helper()
	call := func(args ...string) outcome {
		var out, errs bytes.Buffer
		status := run(t.Context(), append(flags[:len(flags):len(flags)], args...), console{out: &out, err: &errs, env: noEnv})
		return outcome{status, out.String(), errs.String()}
	}
	o := call("-json", "ls")
	o.want(t, exitOK)
	if n := strings.Count(o.out, "\n"); n != 6 {
		t.Errorf("%d leases, want 6:\n%s", n, o.out)
	}
	call("break", "-yes", "c").want(t, exitOK, "c is broken")
	call("inspect", "c").want(t, exitOK, "broken")
	call("break", "-now", "-yes", "c").want(t, exitOK, "is taken")
	call("inspect", "c").want(t, exitNotThere, "nobody holds c")
}
