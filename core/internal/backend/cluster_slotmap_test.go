package backend_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

func TestOperationsBeforeTheClusterIsKnownWaitForIt(t *testing.T) {
	inFakeCluster(t, func(f *fakeCluster) {
		f.lookingUp(func() error { time.Sleep(900 * time.Millisecond); return nil })
		start := time.Now()
		var answers []<-chan backend.Answer
		for _, key := range []string{"a", "b", "c", "d", "a2", "b2"} {
			answers = append(answers, f.begin(f.acquire(key, acquirer())))
		}
		if d := time.Since(start); d != 0 {
			f.Errorf("Do took %v", d)
		}
		for _, c := range answers {
			a := <-c
			if d := time.Since(start); a.Err != nil || a.Repeated || d != 900*time.Millisecond {
				f.Errorf("%+v after %v", a, d)
			}
		}
		if n := f.looked(); n > maxHedges {
			f.Errorf("the client has asked %d times: %+v", n, f.tap.seen())
		}
	})
}

// A cluster client that learns where the slots are asks one node after the other,
// and waits for each until its ReadTimeout has passed.
func TestANodeThatHangsDoesNotHideWhereTheOthersAre(t *testing.T) {
	hangs := func(f *fakeCluster, times int) { // from now on
		var n atomic.Int64
		f.lookingUp(func() error {
			if n.Add(1) <= int64(times) {
				time.Sleep(3 * time.Second)
			}
			return nil
		})
	}
	t.Run("from one that begins", func(t *testing.T) {
		for _, times := range []int{1, 3} {
			inFakeCluster(t, func(f *fakeCluster) {
				hangs(f, times)
				start := time.Now()
				a := f.ask(f.acquire("a", acquirer()))
				if d := time.Since(start); a.Err != nil || d != time.Duration(times)*hedgePause {
					f.Errorf("%+v after %v", a, d)
				}
			})
		}
	})
	t.Run("from those who know them, after a failover", func(t *testing.T) {
		inFakeCluster(t, func(f *fakeCluster) {
			keys := f.known(1)
			f.tap.via(func(addr string, cmds []redis.Cmder, next func() error) error {
				if addr == fakeAddrs[0] {
					time.Sleep(250 * time.Millisecond)
					return fail(cmds, io.EOF)
				}
				return next()
			})
			hangs(f, 2)
			f.own(fakeAddrs[1])
			start := time.Now()
			a := f.ask(f.acquire(keys[0][0], acquirer()))
			if d := time.Since(start); a.Err != nil || d > 1500*time.Millisecond {
				f.Errorf("%+v after %v", a, d)
			}
		})
	})
	t.Run("from one that is closed", func(t *testing.T) {
		inFakeCluster(t, func(f *fakeCluster) {
			hangs(f, 1000)
			answer := f.begin(f.acquire("a", acquirer()))
			pause(time.Second)
			if n := f.looked(); n != maxHedges {
				f.Errorf("%d under way", n)
			}
			ctx, cancel := context.WithTimeout(f.Context(), time.Millisecond)
			defer cancel()
			if err := f.be.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
				f.Errorf("Close: %v", err)
			}
			if a := <-answer; !errors.Is(a.Err, backend.ErrClosed) {
				f.Errorf("%+v", a)
			}
		})
	})
}

func TestClusterThatDoesNotTellItsNodesIsDown(t *testing.T) {
	inFakeCluster(t, func(f *fakeCluster) {
		told := make(chan struct{})
		f.lookingUp(func() error { <-told; return nil })
		answer := f.begin(f.acquire("a", acquirer()))
		pause(time.Second)
		if f.down("a") {
			f.Error("down after a second: it may be slow")
		}
		pause(time.Millisecond)
		down, ok := errors.AsType[*backend.DownError](f.be.Down(f.be.Names("b")))
		if !ok || time.Since(down.Since) != 1001*time.Millisecond {
			f.Errorf("%v", down)
		}
		pause(time.Hour)
		close(told)
		if a := <-answer; a.Err != nil || a.Repeated {
			f.Errorf("%+v", a)
		}
		synctest.Wait()
		if f.down("a") || f.down("b") {
			f.Error("still down")
		}
	})
}

// Whoever waits for an answer in an outage is to be told at once that there is
// none, also when it began before this process did.
func TestClusterWhoseNodesCannotBeReachedIsDownUntilTheyCan(t *testing.T) {
	inFakeCluster(t, func(f *fakeCluster) {
		refused := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
		f.lookingUp(func() error { return refused })
		start := time.Now()
		a := f.ask(f.acquire("a", acquirer()))
		if d := time.Since(start); !errors.Is(a.Err, refused) || d < detourPatience || d > detourPatience+200*time.Millisecond {
			f.Errorf("%+v after %v, want the fault after %v", a, d, detourPatience)
		}
		for range 100 {
			down, ok := errors.AsType[*backend.DownError](f.be.Down(f.be.Names("b")))
			if !ok || !errors.Is(down, refused) || down.Since.Before(start) {
				f.Fatalf("%v, want it down because of %v", down, refused)
			}
			pause(100 * time.Millisecond)
		}
		looks := f.looked()
		pause(10 * time.Second)
		if n := f.looked() - looks; n < 5 || n > 20 {
			f.Errorf("asked %d times in 10s, want about once a second", n)
		}
		f.lookingUp(nil)
		pause(1100 * time.Millisecond)
		if f.down("a") || f.down("b") {
			f.Error("still down")
		}
		f.cycle("b")
		looks = f.looked()
		pause(30 * time.Second)
		if n := f.looked() - looks; n > 0 {
			f.Errorf("asked %d times more", n)
		}
	})
}

func TestNodeThatHangsHoldsUpItsOwnBucketsOnly(t *testing.T) {
	inFakeCluster(t, func(f *fakeCluster) {
		keys := f.known(2)
		goesOn := make(chan struct{})
		f.tap.via(func(addr string, _ []redis.Cmder, next func() error) error {
			if addr == fakeAddrs[0] {
				<-goesOn
			}
			return next()
		})
		start := time.Now()
		var stuck []<-chan backend.Answer
		for range 100 {
			for _, key := range keys[0] {
				stuck = append(stuck, f.begin(backend.Acquire(f.be.Names(key), acquirer(), false, 0)))
			}
		}
		for range 10 {
			pause(150 * time.Millisecond)
			at := time.Now()
			for _, key := range append(keys[1], keys[2]...) {
				f.cycle(key)
				if f.down(key) {
					f.Errorf("%s is down", key)
				}
			}
			if d := time.Since(at); d != 0 {
				f.Errorf("the others took %v", d)
			}
		}
		for _, key := range keys[0] {
			if !f.down(key) {
				f.Errorf("%s is not down after %v", key, time.Since(start))
			}
		}
		for _, c := range stuck {
			if len(c) > 0 {
				f.Fatalf("answered: %+v", <-c)
			}
		}
		close(goesOn)
		granted := 0
		for _, c := range stuck {
			a := <-c
			if a.Err != nil || a.Repeated {
				f.Errorf("%+v", a)
			}
			if a.Reply.Status == backend.Granted {
				granted++
			}
		}
		if granted != len(keys[0]) {
			f.Errorf("%d grants of %d keys", granted, len(keys[0]))
		}
		synctest.Wait()
		if f.down(keys[0][0]) {
			f.Error("down when it has gone on")
		}
	})
}

func TestNodeThatIsGoneIsDownAndAskedUntilItIsBack(t *testing.T) {
	inFakeCluster(t, func(f *fakeCluster) {
		keys := f.known(2)
		f.tap.via(func(addr string, cmds []redis.Cmder, next func() error) error {
			if addr == fakeAddrs[0] {
				return fail(cmds, io.EOF)
			}
			return next()
		})
		a := f.ask(f.acquire(keys[0][0], acquirer()))
		if !errors.Is(a.Err, io.EOF) {
			f.Errorf("%+v", a)
		}
		if !f.down(keys[0][1]) || f.down(keys[1][0]) || f.down(keys[2][0]) {
			f.Error("want the buckets of that node down, and no others")
		}
		f.cycle(keys[1][0])
		f.tap.via(nil)
		pause(time.Second)
		if f.down(keys[0][1]) {
			f.Error("it is back, and counts as down")
		}
		f.cycle(keys[0][1])
	})
}

// Nobody redirects: the node is dead.
func TestBucketsOfADeadNodeAreFoundAtItsSuccessor(t *testing.T) {
	inFakeCluster(t, func(f *fakeCluster) {
		keys := f.known(2)
		f.tap.via(func(addr string, cmds []redis.Cmder, next func() error) error {
			if addr == fakeAddrs[0] {
				time.Sleep(250 * time.Millisecond)
				return fail(cmds, io.EOF)
			}
			return next()
		})
		start := time.Now()
		answer, other := f.begin(f.acquire(keys[0][0], acquirer())), f.begin(f.acquire(f.sibling(keys[0][1]), acquirer()))
		for start.Equal(time.Now()) || !f.down(keys[0][0]) {
			pause(10 * time.Millisecond)
		}
		f.own(fakeAddrs[1])
		a := <-answer
		<-other
		if d := time.Since(start); a.Err != nil || !a.Repeated || !a.Sent.Equal(start) || d > 1500*time.Millisecond {
			f.Errorf("%+v, sent %v after the first time, answered after %v", a, a.Sent.Sub(start), d)
		}
		pause(time.Second)
		f.tap.forget()
		f.cycle(keys[0][1])
		for _, c := range f.tap.seen() {
			if c.addr != fakeAddrs[1] {
				f.Errorf("%+v", c)
			}
		}
		if n := f.be.Batchers(); n != 2 {
			f.Errorf("%d lanes, want those to the nodes that have buckets", n)
		}
		f.tap.forget()
		pause(time.Hour)
		if calls := f.tap.seen(); len(calls) > 0 {
			f.Errorf("asked whether it is back: %+v", calls)
		}
	})
}

func TestRedirectIsFollowedWithoutAPauseAndOtherRefusalsAfterOne(t *testing.T) {
	for _, refusal := range []struct {
		text   string
		atOnce bool
	}{
		{"MOVED 1 " + fakeAddrs[1], true},
		{"TRYAGAIN Multiple keys request during rehashing of slot", false},
		{"CLUSTERDOWN The cluster is down", false},
		{"READONLY You can't write against a read only replica.", false},
		{"LOADING Redis is loading the dataset in memory", false},
	} {
		inFakeCluster(t, func(f *fakeCluster) {
			keys := f.known(1)
			start := time.Now()
			f.tap.via(func(addr string, cmds []redis.Cmder, next func() error) error {
				moved := refusal.atOnce && addr == fakeAddrs[0]
				passes := !refusal.atOnce && time.Since(start) < 500*time.Millisecond
				if moved || passes {
					return fail(cmds, reply(refusal.text))
				}
				return next()
			})
			a := f.ask(f.acquire(keys[0][0], acquirer()))
			d := time.Since(start)
			if a.Err != nil || a.Repeated || (d == 0) != refusal.atOnce || d > 700*time.Millisecond {
				f.Errorf("%s: %+v after %v", refusal.text, a, d)
			}
			if n := len(f.tap.seen()); !refusal.atOnce && (n < 6 || n > 20) {
				f.Errorf("%s: %d calls in %v", refusal.text, n, d)
			}
			if f.down(keys[0][0]) {
				f.Errorf("%s: down, but it answers", refusal.text)
			}
		})
	}
}

// The pauses between two looks become longer.
func TestRedirectLateInASurveyIsHeededSoon(t *testing.T) {
	inFakeCluster(t, func(f *fakeCluster) {
		keys := f.known(1)
		hinted := false
		f.tap.via(func(addr string, cmds []redis.Cmder, next func() error) error {
			switch {
			case !hinted:
				hinted = true
				return fail(cmds, reply("TRYAGAIN"))
			case f.owner(0) != addr && addr == fakeAddrs[0]:
				return fail(cmds, reply("MOVED 1 "+fakeAddrs[1]))
			}
			return next()
		})
		f.cycle(keys[0][0])
		pause(700 * time.Millisecond)
		f.own(fakeAddrs[1])
		f.cycle(keys[0][0])
		pause(30 * time.Millisecond)
		f.tap.forget()
		f.cycle(keys[0][0])
		for _, c := range f.tap.seen() {
			if c.addr == fakeAddrs[0] {
				f.Errorf("%+v: the bucket is known to have moved", f.tap.seen())
			}
		}
	})
}

// A minute after a node has left, go-redis closes its client.
func TestOperationForANodeThatHasLeftGoesToItsSuccessor(t *testing.T) {
	inFakeCluster(t, func(f *fakeCluster) {
		keys := f.known(1)
		f.own(fakeAddrs[1])
		f.rdb.ReloadState(f.Context())
		pause(2 * time.Minute)
		a := f.must(backend.Granted, f.acquire(keys[0][0], acquirer()))
		if a.Repeated {
			f.Errorf("%+v: nothing was sent before", a)
		}
		if f.down(keys[0][0]) {
			f.Error("down")
		}
	})
}

// Whatever a backend is about, it ends when it is closed: a bubble does not end
// before all its goroutines have.
func TestBackendOfAClusterClosesInTheMiddleOfAnOutage(t *testing.T) {
	closing := func(f *fakeCluster, release func(), answers ...<-chan backend.Answer) {
		t := f.T // the bubble's
		t.Helper()
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := f.be.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("Close: %v after %v", err, time.Since(start))
		}
		release()
		for _, c := range answers {
			if a := <-c; a.Err == nil {
				t.Errorf("%+v", a)
			}
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("the last answer came %v after Close had begun", d)
		}
	}
	t.Run("that its first look meets", func(t *testing.T) {
		inFakeCluster(t, func(f *fakeCluster) {
			told := make(chan struct{})
			f.lookingUp(func() error { <-told; return nil })
			a := f.begin(f.acquire("a", acquirer()))
			synctest.Wait()
			b := f.begin(f.acquire("b", acquirer())) // behind it
			closing(f, func() { close(told) }, a, b)
			if calls := f.tap.seen(); len(calls) > 0 {
				f.Errorf("sent after the end: %+v", calls)
			}
		})
	})
	t.Run("of a node that hangs", func(t *testing.T) {
		inFakeCluster(t, func(f *fakeCluster) {
			keys := f.known(1)
			goesOn := make(chan struct{})
			f.tap.via(func(_ string, cmds []redis.Cmder, _ func() error) error {
				<-goesOn
				return fail(cmds, io.EOF)
			})
			a := f.begin(f.acquire(keys[0][0], acquirer()))
			pause(100 * time.Millisecond)
			closing(f, func() { close(goesOn) }, a)
		})
	})
	t.Run("of a cluster that refuses", func(t *testing.T) {
		inFakeCluster(t, func(f *fakeCluster) {
			keys := f.known(1)
			f.tap.via(func(_ string, cmds []redis.Cmder, _ func() error) error {
				return fail(cmds, reply("CLUSTERDOWN The cluster is down"))
			})
			a := f.begin(f.acquire(keys[0][0], acquirer()))
			pause(100 * time.Millisecond)
			closing(f, func() {}, a)
			calls := len(f.tap.seen())
			pause(time.Minute)
			if n := len(f.tap.seen()) - calls; n > 0 {
				f.Errorf("%d calls after the end", n)
			}
		})
	})
}
