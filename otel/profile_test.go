package lockotel_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	_ "net/http/pprof" // serves all profiles by their names
	"runtime/pprof"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	lockotel "github.com/latchkey-go/latchkey/otel"
)

func profiled(t *testing.T, l core.Locker) core.Locker {
	t.Helper()
	o, err := lockotel.NewObserver(lockotel.WithHeldProfile(), lockotel.WithoutTraces(), lockotel.WithoutMetrics())
	if err != nil {
		t.Fatal(err)
	}
	return core.Observe(l, o)
}

// takeForTheReport is what is looked for in stacks.
func takeForTheReport(t *testing.T, l core.Locker, key string) core.Lock {
	t.Helper()
	lock, err := l.Acquire(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

func heldCount() int { return pprof.Lookup(lockotel.ProfileName).Count() }

func TestTheProfileHasTheStacksOfLocksThatAreHeld(t *testing.T) {
	fake := locktest.New()
	l := profiled(t, fake)
	before := heldCount()
	released, lost := takeForTheReport(t, l, "a"), takeForTheReport(t, l, "b")

	w := httptest.NewRecorder()
	http.DefaultServeMux.ServeHTTP(w, httptest.NewRequest("GET", "/debug/pprof/dlock.held?debug=1", nil))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "takeForTheReport") {
		t.Errorf("%d, without the holder's function:\n%s", w.Code, w.Body)
	}
	if strings.Contains(w.Body.String(), "lockotel.(*Observer)") {
		t.Errorf("the observer's own frames are in the way:\n%s", w.Body)
	}
	if n := heldCount() - before; n != 2 {
		t.Errorf("%d locks, want 2", n)
	}
	if err := released.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	fake.Lose("b")
	<-lost.Context().Done()
	for heldCount() != before { // a loss is told by a goroutine
		if t.Context().Err() != nil {
			t.Fatal("not removed")
		}
	}
	var out bytes.Buffer
	if err := pprof.Lookup(lockotel.ProfileName).WriteTo(&out, 1); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "takeForTheReport") {
		t.Errorf("still there:\n%s", &out)
	}
}

func TestALockThatSeveralObserversSeeIsOneInTheProfile(t *testing.T) {
	l := profiled(t, profiled(t, locktest.New()))
	before := heldCount()
	outer := takeForTheReport(t, l, "outer")
	inner, err := l.Acquire(outer.Context(), "inner")
	if err != nil {
		t.Fatal(err)
	}
	if n := heldCount() - before; n != 2 {
		t.Errorf("%d stacks of two locks, seen by two observers", n)
	}
	for _, lock := range []core.Lock{outer, inner} {
		if err := lock.Release(context.Background()); err != nil {
			t.Error(err)
		}
	}
	if n := heldCount(); n != before {
		t.Errorf("%d are left, want %d", n, before)
	}
}
