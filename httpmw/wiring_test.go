package httpmw_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

func TestAPathValueThatNoRequestOfTheRouteHasIsTheProgramsFault(t *testing.T) {
	records := logged(t)
	const fault, missing = core.ReasonInternal, core.ReasonKeyMissing
	for name, row := range map[string]struct {
		template, pattern string
		policy            httpmw.MissingPolicy
		want              core.Reason
		record            string // "" if there is none
	}{
		"another name":             {"order:{path.id}", "PUT /orders/{order}", httpmw.Reject, fault, "PUT /orders/{order}"},
		"another case":             {"order:{path.ID|int}", "/orders/{id}", httpmw.Reject, fault, "{path.ID|int}"},
		"the head of a name":       {"order:{path.i}", "/orders/{id}", httpmw.Reject, fault, "{path.i}"},
		"no wildcard":              {"order:{path.id}", "/orders/", httpmw.Reject, fault, "/orders/"},
		"the end of a path":        {"order:{path.id}", "/orders/42/{$}", httpmw.Reject, fault, "{path.id}"},
		"a host's":                 {"order:{path.id}", "PUT example.com/orders/{rest...}", httpmw.Reject, fault, "example.com"},
		"skipped, if it may be":    {"order:{path.id}", "/orders/{order}", httpmw.Skip, fault, "{path.id}"},
		"a fallback":               {"order:{path.id}", "/orders/{order}", httpmw.Fallback("any"), fault, "{path.id}"},
		"a rest that is empty":     {"order:{path.rest}", "/orders/42/{rest...}", httpmw.Reject, missing, ""},
		"a regular expression":     {"order:{path.id}", "/orders/{id:[0-9]{2,}}", httpmw.Reject, missing, ""},
		"another router's":         {"order:{path.id}", "PUT /orders/:order", httpmw.Reject, fault, "PUT /orders/:order"},
		"another router's, a rest": {"order:{path.id}", "/orders/*", httpmw.Reject, fault, "/orders/*"},
		"a rest with a name":       {"order:{path.id}", "/orders/*rest", httpmw.Reject, fault, "/orders/*rest"},
		"its own name":             {"order:{path.id}", "/orders/:id/pay", httpmw.Reject, missing, ""},
		"its own rest":             {"order:{path.rest}", "/orders/*rest", httpmw.Reject, missing, ""},
		"no pattern":               {"order:{path.id}", "", httpmw.Reject, missing, "{path.id}"},
		"no pattern for a route":   {"order:{request.route}:{query.id}", "", httpmw.Reject, fault, "{request.route}"},
		"a header":                 {"order:{header.X-Order}", "/orders/{id}", httpmw.Reject, missing, ""},
	} {
		t.Run(name, func(t *testing.T) {
			records.Reset()
			var got core.Reason
			lock := mustNew(t, locktest.New(), httpmw.Key(row.template), httpmw.OnMissing(row.policy),
				httpmw.OnDeny(func(_ http.ResponseWriter, _ *http.Request, d *core.Denial) { got = d.Reason }))
			h := lock(http.HandlerFunc(ok))
			for range 3 {
				r := httptest.NewRequest(http.MethodPut, "/orders/42/?id=42", nil)
				r.Pattern = row.pattern
				got = ""
				h.ServeHTTP(httptest.NewRecorder(), r)
				equal(t, "reason", got, row.want)
			}
			text := records.String()
			if want := min(1, len(row.record)); strings.Count(text, "httpmw:") < want || strings.Count(text, "\n") != want || !strings.Contains(text, row.record) {
				t.Errorf("records: %s", text)
			}
		})
	}
}

func TestEachRouteWithAFaultHasOneRecord(t *testing.T) {
	records := logged(t)
	h := mustNew(t, locktest.New(), httpmw.Key(template))(http.HandlerFunc(ok))
	mux := http.NewServeMux()
	for _, pattern := range []string{"PUT /a/{order}", "PUT /b/{order}", "PUT /orders/{id}"} {
		mux.Handle(pattern, h)
	}
	for range 3 {
		equal(t, "a", answerTo(t, mux, http.MethodPut, "/a/42"), http.StatusInternalServerError)
		equal(t, "b", answerTo(t, mux, http.MethodPut, "/b/42"), http.StatusInternalServerError)
		equal(t, "orders", answerTo(t, mux, http.MethodPut, "/orders/42"), http.StatusOK)
	}
	equal(t, "records", strings.Count(records.String(), "\n"), 2)
}

func TestALockAroundAMuxHasNoPathValues(t *testing.T) {
	records := logged(t)
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /orders/{id}", ok)
	for _, policy := range []httpmw.MissingPolicy{httpmw.Reject, httpmw.Skip} {
		records.Reset()
		h := mustNew(t, locktest.New(), httpmw.Key(template), httpmw.OnMissing(policy))(mux)
		for range 2 {
			equal(t, "status", answerTo(t, h, http.MethodPut, "/orders/42"), http.StatusInternalServerError)
		}
		equal(t, "records", strings.Count(records.String(), "around a mux"), 1)

		// Under another mux, which has the value, it is there.
		outer := http.NewServeMux()
		outer.Handle("/orders/{id}", h)
		equal(t, "status under a mux", answerTo(t, outer, http.MethodPut, "/orders/42"), http.StatusOK)
	}
}
