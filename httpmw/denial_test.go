package httpmw_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const request = "PUT /orders/42 HTTP/1.1\nHost: shop.example\nX-Request-ID: req-1\nX-Tenant: acme-secret\n\n"

// Each row of the table of denials, byte for byte as it is on the wire.
func TestDenialsOnTheWire(t *testing.T) {
	const key = "/orders/{id}%:order:acme-secret:42"
	held := func(f *locktest.Fake) core.Locker {
		f.Hold(key, core.TTL(1500*time.Millisecond))
		return f
	}
	free := func(f *locktest.Fake) core.Locker { return f }
	fails := func(err error) func(*locktest.Fake) core.Locker {
		return func(*locktest.Fake) core.Locker { return failing{err} }
	}
	type row struct {
		name    string
		locker  func(*locktest.Fake) core.Locker
		opts    []httpmw.Option
		around  func(http.Handler) http.Handler
		handler func(*locktest.Fake, http.ResponseWriter, *http.Request)
		request string
	}
	for _, row := range []row{
		{name: "held", locker: held, opts: []httpmw.Option{httpmw.Wait(0)}},
		{
			name: "held_head", locker: held, opts: []httpmw.Option{httpmw.Wait(0)},
			request: strings.Replace(request, "PUT", "HEAD", 1),
		},
		{name: "wait_timeout", locker: held, opts: []httpmw.Option{httpmw.Wait(time.Millisecond)}},
		{name: "queue_full", locker: held, opts: []httpmw.Option{httpmw.MaxWaiters(0)}},
		{
			name: "deadline_exceeded", locker: held,
			around: func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					ctx, cancel := context.WithTimeout(r.Context(), time.Millisecond)
					defer cancel()
					next.ServeHTTP(w, r.WithContext(ctx))
				})
			},
		},
		{name: "key_missing", locker: free, request: strings.Replace(request, "X-Tenant: acme-secret\n", "", 1)},
		{
			name: "key_invalid", locker: free,
			request: strings.Replace(request, "X-Tenant", "X-Tenant: other\nX-Tenant", 1),
		},
		{name: "backend_unavailable", locker: fails(&core.AcquireError{
			Err: core.ErrBackend, Cause: errors.New("secret-host:6379 refused"), Info: core.Info{RetryAfter: time.Second},
		})},
		{name: "shutting_down", locker: func(f *locktest.Fake) core.Locker {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			return f
		}},
		{
			name: "lost", locker: free,
			handler: func(f *locktest.Fake, w http.ResponseWriter, r *http.Request) {
				for _, name := range []string{"Content-Encoding", "Content-Length", "ETag", "Location", "Retry-After"} {
					w.Header().Set(name, "7") // of the answer that was never written
				}
				w.Header().Set("X-Own", "stays")
				f.Lose(key)
				<-r.Context().Done()
			},
		},
		{
			name: "stale", locker: free,
			handler: func(_ *locktest.Fake, w http.ResponseWriter, r *http.Request) {
				httpmw.WriteDenial(w, r, core.Denied(core.ErrStale))
			},
		},
		{
			name: "self_deadlock", locker: free,
			handler: func(f *locktest.Fake, w http.ResponseWriter, r *http.Request) {
				// A second lock with the same key, as when a route is wrapped twice.
				again := mustNew(t, f, httpmw.Key("order:{header.X-Tenant}:{path.id}"))
				again(http.HandlerFunc(ok)).ServeHTTP(w, r)
			},
		},
		{name: "internal", locker: fails(errors.New("a secret fault"))},
	} {
		t.Run(row.name, func(t *testing.T) {
			fake := locktest.New()
			lock := mustNew(t, row.locker(fake), httpmw.Key("order:{header.X-Tenant}:{path.id}"), row.opts...)
			handler := http.Handler(orders(lock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if row.handler == nil {
					t.Error("the handler of a denied request ran")
					return
				}
				row.handler(fake, w, r)
			}))))
			if row.around != nil {
				handler = row.around(handler)
			}
			if row.request == "" {
				row.request = request
			}
			got := exchange(t, serve(t, httpmw.RequestID(httpmw.TrustRequestID())(handler)), row.request)

			golden := filepath.Join("testdata", row.name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "answer", got, string(want))
			if strings.Contains(got, "secret") {
				t.Error("the answer tells the key or an internal error")
			}
		})
	}
}

func TestEveryEndOfALeaseIsAnsweredAsLost(t *testing.T) {
	for name, row := range map[string]struct {
		end  func(*locktest.Fake)
		opts []httpmw.Option
		want error
	}{
		"lost":     {end: func(f *locktest.Fake) { f.Lose(key42) }, want: core.ErrLost},
		"broken":   {end: func(f *locktest.Fake) { f.Break(key42) }, want: core.ErrBroken},
		"max hold": {end: func(*locktest.Fake) {}, opts: []httpmw.Option{httpmw.MaxHold(time.Millisecond)}, want: core.ErrMaxHold},
	} {
		t.Run(name, func(t *testing.T) {
			fake := locktest.New()
			cause := make(chan error, 1)
			lock := mustNew(t, fake, httpmw.Key(template), row.opts...)
			s := serve(t, orders(lock(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				row.end(fake)
				<-r.Context().Done()
				cause <- context.Cause(r.Context())
			}))))
			status, body := put(t, s, "/orders/42")
			equal(t, "status", status, http.StatusInternalServerError)
			equal(t, "reason", reason(t, body), core.ReasonLost)
			if err := receive(t, cause); !errors.Is(err, row.want) {
				t.Errorf("the handler's context was cancelled because of %v, want %v", err, row.want)
			}
		})
	}
}

func TestWithoutAHintClientsAreSpreadOverTwoSeconds(t *testing.T) {
	different := map[int64]bool{}
	for range 100 {
		w := httptest.NewRecorder()
		httpmw.WriteDenial(w, httptest.NewRequest(http.MethodPut, "/", nil), &core.Denial{Reason: core.ReasonBackend})
		ms := decode(t, w.Body.String()).RetryAfterMS
		if ms < 1000 || ms > 3000 {
			t.Fatalf("retry_after_ms %d is not between one and three seconds", ms)
		}
		equal(t, "Retry-After", w.Header().Get("Retry-After"), strconv.FormatInt((ms+999)/1000, 10))
		different[ms] = true
	}
	if len(different) < 10 {
		t.Errorf("%d different hints out of 100", len(different))
	}
}

func TestRetryAfterIsRoundedUp(t *testing.T) {
	for hint, want := range map[time.Duration]struct {
		header string
		ms     int64
	}{
		1:                           {"1", 1},
		time.Second:                 {"1", 1000},
		time.Second + 1:             {"2", 1001},
		2500*time.Millisecond + 100: {"3", 2501},
	} {
		w := httptest.NewRecorder()
		d := &core.Denial{Reason: core.ReasonHeld, RetryAfter: hint}
		httpmw.WriteDenial(w, httptest.NewRequest(http.MethodPut, "/", nil), d)
		equal(t, hint.String()+": Retry-After", w.Header().Get("Retry-After"), want.header)
		equal(t, hint.String()+": retry_after_ms", decode(t, w.Body.String()).RetryAfterMS, want.ms)
	}
}

func TestWriteDenialOutsideAServer(t *testing.T) {
	r := httptest.NewRequest(http.MethodPut, "/", nil)

	w := httptest.NewRecorder()
	httpmw.WriteDenial(w, r, &core.Denial{Reason: core.ReasonCanceled})
	if w.Body.Len() > 0 || len(w.Header()) > 0 {
		t.Errorf("a canceled request was answered: %v %s", w.Header(), w.Body)
	}

	for name, d := range map[string]*core.Denial{"nil": nil, "unknown": {Reason: "LOCK_OF_TOMORROW"}} {
		w = httptest.NewRecorder()
		httpmw.WriteDenial(w, r, d)
		equal(t, name+": status", w.Code, http.StatusInternalServerError)
		equal(t, name+": instance without a request ID", decode(t, w.Body.String()).Instance, "")
	}
}

func reason(t *testing.T, body string) core.Reason {
	t.Helper()
	return decode(t, body).Reason
}

type details struct {
	Instance     string
	Reason       core.Reason
	RetryAfterMS int64 `json:"retry_after_ms"`
}

func decode(t *testing.T, body string) (d details) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), &d); err != nil {
		t.Fatalf("%v: %q", err, body)
	}
	return d
}
