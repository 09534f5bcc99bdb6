package core

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// leases returns what Leases yields, by key; an error fails the test.
func leases(t *testing.T, l *RedisLocker) map[string]*LeaseInfo {
	t.Helper()
	all := map[string]*LeaseInfo{}
	for lease, err := range l.Leases(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if all[lease.Key] != nil {
			t.Errorf("%q twice", lease.Key)
		}
		all[lease.Key] = lease
	}
	return all
}

func TestLeasesAreThoseOfAllProcessesUnderOnePrefix(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		a, _ := b.locker(TTL(9 * time.Second))
		c, _ := b.locker()
		elsewhere, _ := b.locker(Prefix("another"))
		operator, _ := b.locker()
		if got := leases(t, operator); len(got) != 0 {
			t.Errorf("%v", got)
		}
		var held []*lock
		for i := range 100 {
			held = append(held, get(t, a, fmt.Sprint("a", i), WithMeta(Meta{RequestID: fmt.Sprint("r", i)})))
		}
		held = append(held, get(t, c, "c"), get(t, elsewhere, "x"))
		r := begin(t.Context(), c, "a7")
		synctest.Wait()
		breakIt(t, operator, "a8")
		elapse(time.Second)
		all := leases(t, operator)
		if len(all) != 101 || all["c"] == nil || all["c"].Process != string(c.process) {
			t.Fatalf("%d leases, want 101; %+v", len(all), all["c"])
		}
		for i := range 100 {
			lease := all[fmt.Sprint("a", i)]
			waiting := 0
			if i == 7 {
				waiting = 1
			}
			if lease.Holder.RequestID != fmt.Sprint("r", i) || lease.TTL != 8*time.Second || lease.Waiting != waiting || lease.Broken != (i == 8) {
				t.Errorf("%+v", lease)
			}
		}
		for _, k := range held {
			free(t, k)
		}
		synctest.Wait()
		free(t, r.lock)
	})
}

func TestLeasesEndsWhenItsCallerHasSeenEnough(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		for i := range 3 {
			defer free(t, get(t, l, fmt.Sprint("k", i)))
		}
		n := 0
		for range l.Leases(t.Context()) {
			n++
			break
		}
		p.via(func(op operation, call func() error) error {
			if op.kind == "inspect" {
				return io.EOF
			}
			return call()
		})
		for lease, err := range l.Leases(t.Context()) {
			if n++; lease != nil || !errors.Is(err, ErrBackend) {
				t.Errorf("%v, %v", lease, err)
			}
		}
		if n != 2 {
			t.Errorf("%d steps, want one each", n)
		}
		p.via(nil)
	})
}

// Others' data is shown as what it is, and keeps nobody from seeing the rest.
func TestLeasesBearsWhatOthersHaveWritten(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		for _, key := range []string{"a", "b", "c"} {
			tagOf(b, key)
		}
		l, _ := b.locker()
		k := get(t, l, "a")
		b.plant("b", "something else")
		b.plant("c", foreign())
		_ = b.srv.Set("latchkey:{"+tagOf(b, "c")+"}:q:c", "no queue")
		var got []string
		for lease, err := range l.Leases(t.Context()) {
			switch oe, _ := errors.AsType[*OperatorError](err); {
			case err == nil && lease.ID == "":
				got = append(got, lease.Key+" is no lease")
			case err == nil:
				got = append(got, lease.Key)
			default:
				got = append(got, oe.Key+" fails")
			}
		}
		slices.Sort(got)
		if want := []string{"a", "b is no lease", "c fails"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		free(t, k)
	})
}

func TestALeaseThatEndsDuringTheScanIsLeftOut(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		k := get(t, l, "k")
		other, _ := b.locker()
		kept := get(t, other, "kept")
		p.via(func(op operation, call func() error) error {
			err := call()
			if op.kind == "scan" {
				go free(t, k)
				time.Sleep(time.Millisecond)
			}
			return err
		})
		if all := leases(t, l); len(all) != 1 || all["kept"] == nil {
			t.Errorf("%v", all)
		}
		free(t, kept)
	})
}
