package lockotel_test

import (
	"bytes"
	rtrace "runtime/trace"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	lockotel "github.com/latchkey-go/latchkey/otel"
)

// lockTraced takes and releases a lock and returns the execution trace of that.
func lockTraced(t *testing.T, name string, opts ...lockotel.Option) string {
	t.Helper()
	o, err := lockotel.NewObserver(opts...)
	if err != nil {
		t.Fatal(err)
	}
	l := core.Observe(locktest.New(), o)
	var out bytes.Buffer
	if err := rtrace.Start(&out); err != nil {
		t.Fatal(err)
	}
	lock, err := l.Acquire(t.Context(), "k", core.Name(name))
	if err == nil {
		err = lock.Release(t.Context())
	}
	rtrace.Stop()
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// The names are in a trace as they are.
func TestAnExecutionTraceHasTheWaitAndTheHold(t *testing.T) {
	got := lockTraced(t, "GET /traced")
	for _, want := range []string{"acquire GET /traced", "hold GET /traced"} {
		if !strings.Contains(got, want) {
			t.Errorf("the trace does not have %q", want)
		}
	}
	if got := lockTraced(t, "GET /turned-off", lockotel.WithoutRuntimeTrace()); strings.Contains(got, "GET /turned-off") {
		t.Error("the trace has it all the same")
	}
}
