package httpmw_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
	"github.com/latchkey-go/latchkey/idgen"
)

// Each row of the table of denials, had the lock been in force.
func TestInShadowEveryRequestIsServedAndEveryDenialTold(t *testing.T) {
	want := map[string]core.Reason{
		"held": core.ReasonHeld, "held_head": core.ReasonHeld, "wait_timeout": core.ReasonHeld, "queue_full": core.ReasonHeld,
		"key_missing": core.ReasonKeyMissing, "key_invalid": core.ReasonKeyInvalid,
		"backend_unavailable": core.ReasonBackend, "shutting_down": core.ReasonShuttingDown,
		"canceled": core.ReasonCanceled, "deadline_exceeded": core.ReasonHeld, "internal": core.ReasonInternal,
	}
	for _, row := range denialRows(t) {
		want, ok := want[row.name]
		if !ok {
			continue // a preset's, or the handler's own
		}
		t.Run(row.name, func(t *testing.T) {
			fake := locktest.New()
			locker := core.Locker(fake)
			if row.locker != nil {
				locker = row.locker(fake)
			}
			told := make(chan *core.Denial, 2)
			lock := mustNew(t, locker, httpmw.Key("order:{header.X-Tenant}:{path.id}"), append(row.opts, httpmw.Shadow(),
				httpmw.OnDeny(func(w http.ResponseWriter, r *http.Request, d *core.Denial) {
					if _, known := idgen.FromContext(r.Context()); !known {
						t.Error("OnDeny's request has no ID")
					}
					if b, err := io.ReadAll(r.Body); len(b) > 0 || err != nil {
						t.Errorf("OnDeny has read the handler's body: %q, %v", b, err)
					}
					http.Error(w, "dropped", http.StatusLocked)
					told <- d
				}))...)
			handler := http.Handler(orders(lock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if l, held := core.FromContext(r.Context()); held {
					t.Errorf("a request that would have been denied has a lock: %v", l)
				}
				w.Header().Set("Content-Type", "text/plain")
				_, _ = io.Copy(w, r.Body)
			}))))
			if row.around != nil {
				handler = row.around(handler)
			}
			head := strings.Replace(request, "\n\n", "\nContent-Length: 4\n\npaid", 1)
			switch {
			case row.method != "":
				head = strings.Replace(head, "PUT", row.method, 1)
			case row.tenants != nil && len(row.tenants) == 0:
				head = strings.Replace(head, "X-Tenant: acme-secret\n", "", 1)
			case row.tenants != nil:
				head = strings.Replace(head, "X-Tenant:", "X-Tenant: other\nX-Tenant:", 1)
			}
			answer := exchange(t, serve(t, handler), head)
			if !strings.HasPrefix(answer, "HTTP/1.1 200 OK\n") || row.method != http.MethodHead && !strings.HasSuffix(answer, "\n\npaid") {
				t.Errorf("answer: %s", answer)
			}
			d := receive(t, told)
			equal(t, "reason", d.Reason, want)
			equal(t, "shadow", d.Shadow, true)
			equal(t, "denials told", 1+len(told), 1)
		})
	}
}

func TestInShadowALostLockIsToldAndTheAnswerStands(t *testing.T) {
	fake := locktest.New()
	told := make(chan *core.Denial, 1)
	lock := mustNew(t, fake, httpmw.Key(template), httpmw.Shadow(), httpmw.OnLossAfterWrite(httpmw.AbortResponse),
		httpmw.OnDeny(func(_ http.ResponseWriter, _ *http.Request, d *core.Denial) { told <- d }))
	s := serve(t, orders(lock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l, held := core.FromContext(r.Context()); !held || l.Token() == 0 {
			t.Errorf("the handler's lock: %v, %v", l, held)
		}
		fake.Lose(key42)
		if err := r.Context().Err(); err != nil {
			t.Errorf("the handler's context: %v", err)
		}
		ok(w, r)
	}))))
	status, body := put(t, s, "/orders/42")
	equal(t, "answer", fmt.Sprint(status, " ", body), "200 ok")
	d := receive(t, told)
	equal(t, "reason", d.Reason, core.ReasonLost)
	equal(t, "shadow", d.Shadow, true)
}

func TestInShadowHijackIsNotRefused(t *testing.T) {
	lock := mustNew(t, locktest.New(), httpmw.Key(template), httpmw.Shadow())
	s := serve(t, orders(lock(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { hijack(w) }))))
	status, body := put(t, s, "/orders/42")
	equal(t, "answer", fmt.Sprint(status, " ", body), "202 by hand")
}

func TestInShadowWithoutOnDenyRequestsAreServedAllTheSame(t *testing.T) {
	for name, locker := range map[string]core.Locker{
		"a free key": locktest.New(), "no backend": failing{&core.AcquireError{Err: core.ErrBackend, Cause: errors.New("down")}},
	} {
		lock := mustNew(t, locker, httpmw.Key(template), httpmw.Shadow(), httpmw.Wait(time.Second))
		status, body := put(t, serve(t, orders(lock(http.HandlerFunc(ok)))), "/orders/42")
		equal(t, name, fmt.Sprint(status, " ", body), "200 ok")
	}
}
