package main

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core"
)

func TestBreakAsksAndBreaksWhatItHasShown(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		args   []string
	}{
		"the key is typed": {answer: "k"},
		"yes is typed":     {answer: "Yes"},
		"-yes":             {args: []string{"-yes"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			lock := d.hold("k", core.TTL(6*time.Second), core.WithMeta(core.Meta{RequestID: "r-1"}))
			args := append(append([]string{"break"}, c.args...), "k")
			o := d.answering(c.answer, args...)
			o.want(t, exitOK, "request r-1", "k is broken", "free at its release")
			if asked := strings.Contains(o.err, "Type the key"); asked == (c.args != nil) {
				t.Errorf("asked: %t\n%s", asked, o.err)
			}
			<-lock.Context().Done() // at the next renewal: 2 s
			if cause := context.Cause(lock.Context()); cause != core.ErrBroken {
				t.Errorf("cause %v, want ErrBroken", cause)
			}
			d.run("inspect", "k").want(t, exitOK, "broken")
			d.run("break", "-yes", "k").want(t, exitOK, "k is broken") // again: nothing new
			if err := lock.Release(t.Context()); err != nil {
				t.Errorf("Release: %v", err)
			}
			d.run("break", "-yes", "k").want(t, exitNotThere, "nobody holds k")
		})
	}
}

func TestBreakNowLetsTheNextInAtOnce(t *testing.T) {
	d := newDesk(t)
	lock := d.hold("k")
	d.answering("k", "break", "-now", "k").want(t, exitOK, "beside a holder", "is taken")
	next, err := d.another().TryAcquire(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	if next.Token() <= lock.Token() {
		t.Errorf("tokens %d, %d", lock.Token(), next.Token())
	}
	o := d.run("-json", "break", "-now", "-yes", "k")
	o.want(t, exitOK)
	var got taken
	if err = json.Unmarshal([]byte(o.out), &got); err != nil || !got.Now || got.Lease.Key != "k" || o.err != "" {
		t.Errorf("%+v, %v; %s", got, err, o.err)
	}
}

func TestBreakIsNotDoneUnconfirmed(t *testing.T) {
	d := newDesk(t)
	lock := d.hold("k")
	d.run("break", "k").want(t, exitUnconfirmed, "-yes")
	for _, answer := range []string{"", "no", "K", "y"} {
		d.answering(answer, "break", "k").want(t, exitUnconfirmed, "not broken")
	}
	d.runWith(t.Context(), console{env: noEnv, terminal: true, in: strings.NewReader("")}, "break", "k").want(t, exitUnconfirmed)
	d.await("not broken", func(i *core.Inspection) bool { return !i.Lease.Broken && i.LastToken == lock.Token() })
}

// reader is a terminal at which somebody types once f has run.
type reader struct {
	f func()
	io.Reader
}

func (r *reader) Read(b []byte) (int, error) {
	if r.f != nil {
		r.f()
		r.f = nil
	}
	return r.Reader.Read(b)
}

func TestBreakSparesALeaseThatItHasNotShown(t *testing.T) {
	d := newDesk(t)
	first := d.hold("k")
	in := &reader{Reader: strings.NewReader("k\n"), f: func() {
		if err := first.Release(t.Context()); err != nil {
			t.Error(err)
		}
		d.hold("k", core.WithMeta(core.Meta{RequestID: "second"}))
	}}
	o := d.runWith(t.Context(), console{env: noEnv, terminal: true, in: in}, "break", "k")
	o.want(t, exitNotThere, "not broken", "request second")
	d.await("not broken", func(i *core.Inspection) bool { return !i.Lease.Broken })
}

func TestBreakThatIsInterruptedBreaksNothing(t *testing.T) {
	d := newDesk(t)
	d.hold("k")
	ctx, interrupt := context.WithCancel(t.Context())
	never, w := io.Pipe()
	defer w.Close()
	in := &reader{Reader: never, f: interrupt}
	d.runWith(ctx, console{env: noEnv, terminal: true, in: in}, "break", "k").want(t, exitInterrupted)
	d.await("not broken", func(i *core.Inspection) bool { return !i.Lease.Broken })
}

func TestWhatIsNoLeaseIsNotBroken(t *testing.T) {
	d := newDesk(t)
	lock := d.hold("k")
	rdb := d.srv.Client(nil)
	names, err := rdb.Keys(t.Context(), "*:l:k").Result()
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	rdb.Set(t.Context(), names[0], "\x1b]0;evil\x07", 0)
	d.run("ls").want(t, exitOK, "not a lease", "never")
	d.run("break", "-yes", "k").want(t, exitFailed, "redis-cli")
	_ = lock.Release(t.Context())
}
