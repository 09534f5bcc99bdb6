package httpmw_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/httpmw"
	"github.com/latchkey-go/latchkey/internal/denial"
)

// Each row of the table that both transports have, as an answer and as a client
// takes it. Package grpcmw has the same test.
func TestTheTableOfDenialsIsWhatServersAnswerAndClientsGoBy(t *testing.T) {
	for _, reason := range []core.Reason{
		core.ReasonHeld, core.ReasonWaitTimeout, core.ReasonQueueFull, core.ReasonDeadline, core.ReasonKeyMissing,
		core.ReasonKeyInvalid, core.ReasonBackend, core.ReasonShuttingDown, core.ReasonSelfDeadlock, core.ReasonLost,
		core.ReasonStale, core.ReasonInternal, httpmw.ReasonBodyTooLarge, httpmw.ReasonBodyUnsupported, httpmw.ReasonBodyTimeout,
		"LOCK_OF_TOMORROW",
	} {
		t.Run(string(reason), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				row := denial.Of(reason)
				w := httptest.NewRecorder()
				httpmw.WriteDenial(w, httptest.NewRequest(http.MethodPut, "/", nil), &core.Denial{Reason: reason})
				body := decode(t, w.Body.String())
				equal(t, "status", w.Code, row.Status)
				equal(t, "title", body.Title, row.Title)
				equal(t, "detail", body.Detail, row.Detail)
				equal(t, "reason", body.Reason, reason)
				equal(t, "has a hint", body.RetryAfterMS > 0, row.Repeatable())
				equal(t, "has Retry-After", w.Header().Get("Retry-After") != "", row.Repeatable())
				equal(t, "closes", w.Header().Get("Connection") == "close", row.Close)

				base := denying(reason, 0)
				if _, err := mustTransport(t, base, httpmw.RetryHeld(1)).RoundTrip(outbound(t, "http://h", nil)); err != nil {
					t.Fatal(err)
				}
				equal(t, "is repeated", len(base.sent) == 2, row.Repeatable())
			})
		})
	}
}
