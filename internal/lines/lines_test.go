package lines

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// asking is what a number of requests of one connection come to.
type asking struct {
	wg                  sync.WaitGroup
	ran, full, timedOut atomic.Int32
	other               atomic.Value
}

func (a *asking) ask(l *Lines, of Conn, guard *core.Guard, key string, work time.Duration) {
	a.wg.Go(func() {
		err := l.Run(context.Background(), of, guard, key, func(context.Context) error {
			time.Sleep(work)
			a.ran.Add(1)
			return nil
		})
		switch d, _ := errors.AsType[*core.Denial](err); {
		case err == nil:
		case d != nil && d.Reason == core.ReasonQueueFull && errors.Is(err, ErrFull):
			a.full.Add(1)
		case d != nil && d.Reason == core.ReasonWaitTimeout:
			a.timedOut.Add(1)
		default:
			a.other.Store(err)
		}
	})
}

func (a *asking) counts() string {
	return fmt.Sprintf("%d ran, %d full, %d timed out, %v", a.ran.Load(), a.full.Load(), a.timedOut.Load(), a.other.Load())
}

func newGuard(t *testing.T, fake *locktest.Fake) *core.Guard {
	t.Helper()
	guard, err := core.NewGuard(fake, core.Wait(5*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return guard
}

var (
	one     = Conn{remote: "1"}
	another = Conn{remote: "2"}
)

func check(t *testing.T, l *Lines, a *asking, want string) {
	t.Helper()
	if got := a.counts(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if len(l.conns) != 0 {
		t.Errorf("%d connections are still known", len(l.conns))
	}
}

func TestAConnectionHasSoManyInLineAndNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, l := locktest.New(), New(50)
		guard := newGuard(t, fake)
		defer fake.Hold("hot")()
		var burst, late, free, elsewhere asking
		for range 120 {
			burst.ask(l, one, guard, "hot", 0)
		}
		time.Sleep(grace + time.Millisecond)
		start := time.Now()
		for range 80 {
			late.ask(l, one, guard, "hot", 0)
		}
		late.wg.Wait()
		for i := range 80 {
			free.ask(l, one, guard, fmt.Sprint(i), 0)
		}
		free.wg.Wait()
		if took := time.Since(start); took != 0 {
			t.Errorf("those beyond the bound, and those with free keys, waited for %v", took)
		}
		elsewhere.ask(l, another, guard, "hot", 0)
		burst.wg.Wait()
		elsewhere.wg.Wait()
		check(t, l, &burst, "0 ran, 70 full, 50 timed out, <nil>")
		check(t, l, &late, "0 ran, 80 full, 0 timed out, <nil>")
		check(t, l, &free, "80 ran, 0 full, 0 timed out, <nil>")
		check(t, l, &elsewhere, "0 ran, 0 full, 1 timed out, <nil>")
	})
}

// slow takes a moment for a lock that is free, as Redis does.
type slow struct{ *locktest.Fake }

func (s slow) Acquire(ctx context.Context, key string, opts ...core.AcquireOption) (core.Lock, error) {
	time.Sleep(time.Millisecond)
	return s.Fake.Acquire(ctx, key, opts...)
}

// Pairs of requests with one key each: one of a pair waits for the other, and that
// they have come at the same moment is no reason to deny one.
func TestABurstIsNoLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(50)
		guard, err := core.NewGuard(slow{locktest.New()}, core.Wait(5*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		var burst asking
		for i := range 100 {
			burst.ask(l, one, guard, fmt.Sprint(i/2), 200*time.Millisecond)
		}
		burst.wg.Wait()
		check(t, l, &burst, "100 ran, 0 full, 0 timed out, <nil>")
	})
}

// A line that moves stays a line: who is beyond the bound is told at once.
func TestALineThatMovesIsStillFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(10)
		guard := newGuard(t, locktest.New())
		var line, late asking
		for range 11 {
			line.ask(l, one, guard, "hot", 20*time.Millisecond)
		}
		time.Sleep(15 * time.Millisecond)
		for range 5 { // as the first one leaves, one takes its seat
			late.ask(l, one, guard, "hot", 20*time.Millisecond)
			synctest.Wait()
		}
		if got := late.full.Load(); got != 5 {
			t.Errorf("%d of 5 were told at once", got)
		}
		time.Sleep(7 * time.Millisecond)
		for range 2 {
			late.ask(l, one, guard, "hot", 20*time.Millisecond)
			synctest.Wait()
		}
		if got := late.full.Load(); got != 6 {
			t.Errorf("%d of 7 were told at once, want 6: one had a seat", got)
		}
		line.wg.Wait()
		late.wg.Wait()
		check(t, l, &line, "11 ran, 0 full, 0 timed out, <nil>")
		check(t, l, &late, "1 ran, 6 full, 0 timed out, <nil>")
	})
}

// What the function itself says is passed on.
func TestADenialOfTheFunctionsOwnIsNoneOfTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, l := locktest.New(), New(1)
		guard := newGuard(t, fake)
		release := fake.Hold("hot")
		var waiting asking
		waiting.ask(l, one, guard, "hot", 0)
		time.Sleep(time.Second)
		inner := &core.Denial{Reason: core.ReasonHeld}
		if err := l.Run(t.Context(), one, guard, "free", func(context.Context) error { return inner }); err != error(inner) {
			t.Errorf("got %v", err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.Run(gone, one, guard, "hot", func(context.Context) error { return nil }); !errors.Is(err, context.Canceled) && !errors.Is(err, ErrFull) {
			t.Errorf("got %v", err)
		}
		release()
		waiting.wg.Wait()
		check(t, l, &waiting, "1 ran, 0 full, 0 timed out, <nil>")
	})
}

func TestWithoutABoundOrAConnectionNobodyIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, l := locktest.New(), New(1)
		guard := newGuard(t, fake)
		defer fake.Hold("hot")()
		var unbounded, unknown, inMemory asking
		for range 10 {
			unbounded.ask(New(0), one, guard, "hot", 0)
			unknown.ask(l, ConnOf(nil, nil), guard, "hot", 0)
			inMemory.ask(l, ConnOf(odd{text: "bufconn"}, odd{text: "pipe"}), guard, "hot", 0)
		}
		unbounded.wg.Wait()
		unknown.wg.Wait()
		inMemory.wg.Wait()
		check(t, l, &unbounded, "0 ran, 0 full, 10 timed out, <nil>")
		check(t, l, &unknown, "0 ran, 0 full, 10 timed out, <nil>")
		check(t, l, &inMemory, "0 ran, 0 full, 10 timed out, <nil>")
	})
}

// odd is an address that cannot be compared.
type odd struct {
	text string
	_    []byte
}

func (odd) Network() string  { return "odd" }
func (a odd) String() string { return a.text }

func TestConnectionsAreToldApart(t *testing.T) {
	tcp := func() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }
	local, unix := tcp(), &net.UnixAddr{Name: "/x"}
	for _, c := range []struct {
		name string
		a, b Conn
		same bool
	}{
		{"one of TCP", ConnOf(local, tcp()), ConnOf(local, tcp()), true},
		{"two of TCP", ConnOf(tcp(), tcp()), ConnOf(tcp(), tcp()), false},
		{"one behind a proxy that tells of its clients", ConnOf(local, odd{text: "h:1"}), ConnOf(local, odd{text: "h:2"}), true},
		{"two of a Unix socket", ConnOf(unix, nil), ConnOf(&net.UnixAddr{Name: "/x"}, nil), false},
		{"one of a type of its own", ConnOf(odd{text: "h:1"}, odd{text: "h:2"}), ConnOf(odd{text: "h:1"}, odd{text: "h:2"}), true},
		{"two of a type of their own", ConnOf(odd{text: "h:1"}, odd{text: "h:2"}), ConnOf(odd{text: "h:1"}, odd{text: "h:3"}), false},
		{"by the client's address alone", ConnOf(nil, odd{text: "h:2"}), ConnOf(nil, odd{text: "h:3"}), false},
	} {
		if same := c.a == c.b; same != c.same {
			t.Errorf("%s: the same %v", c.name, same)
		}
	}
}
