package httpmw_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/httpmw"
)

// hints returns how often each Retry-After, and each retry_after_ms, came in a
// hundred answers to d.
func hints(t *testing.T, d core.Denial) (seconds map[string]int, ms map[int64]int) {
	t.Helper()
	seconds, ms = map[string]int{}, map[int64]int{}
	for range 100 {
		w := httptest.NewRecorder()
		httpmw.WriteDenial(w, httptest.NewRequest(http.MethodPut, "/", nil), &d)
		seconds[w.Header().Get("Retry-After")]++
		ms[decode(t, w.Body.String()).RetryAfterMS]++
	}
	return seconds, ms
}

func TestWithoutAHintClientsAreSpread(t *testing.T) {
	_, ms := hints(t, core.Denial{Reason: core.ReasonBackend})
	for ms := range ms {
		if ms < 500 || ms > 1000 {
			t.Errorf("retry_after_ms %d is not between 500 and 1000", ms)
		}
	}
	if len(ms) < 10 {
		t.Errorf("%d different hints out of 100", len(ms))
	}
}

// Whole seconds would bring everybody back in the same one.
func TestRetryAfterIsRoundedUpAndSpreadOverTwoSeconds(t *testing.T) {
	for hint, want := range map[time.Duration]struct {
		seconds [2]string
		ms      int64
	}{
		1:                           {[2]string{"1", "2"}, 1},
		time.Second:                 {[2]string{"1", "2"}, 1000},
		time.Second + 1:             {[2]string{"2", "3"}, 1001},
		2500*time.Millisecond + 100: {[2]string{"3", "4"}, 2501},
	} {
		seconds, ms := hints(t, core.Denial{Reason: core.ReasonHeld, RetryAfter: hint})
		equal(t, hint.String()+": both seconds came",
			seconds[want.seconds[0]] > 0 && seconds[want.seconds[1]] > 0 && len(seconds) == 2, true)
		equal(t, hint.String()+": answers with the hint itself as retry_after_ms", ms[want.ms], 100)
	}
}
