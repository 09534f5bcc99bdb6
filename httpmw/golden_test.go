package httpmw_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
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

// denialRow is a row of the table of denials.
type denialRow struct {
	name    string
	locker  func(*locktest.Fake) core.Locker // free if nil
	opts    []httpmw.Option
	around  func(http.Handler) http.Handler
	handler func(*locktest.Fake, http.ResponseWriter, *http.Request) // must not run if nil
	method  string                                                   // PUT if empty
	tenants []string                                                 // acme-secret if nil
	key     string                                                   // rowTemplate if empty
	body    string
	coding  string // of the body
}

// rowTemplate makes rowKey of the rows' requests.
const rowTemplate = "order:{header.X-Tenant}:{path.id}"

const rowKey = "order:acme-secret:42"

func heldRow(f *locktest.Fake) core.Locker {
	f.Hold(rowKey, core.TTL(1500*time.Millisecond))
	return f
}

func failingRow(err error) func(*locktest.Fake) core.Locker {
	return func(*locktest.Fake) core.Locker { return failing{err} }
}

// under returns what serves a handler under a context that makes makes.
func under(makes func(context.Context) (context.Context, context.CancelFunc)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := makes(r.Context())
			defer cancel()
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}

func denialRows(t *testing.T) []denialRow {
	with := func(opts ...httpmw.Option) []httpmw.Option { return opts }
	return []denialRow{
		{name: "held", locker: heldRow, opts: with(httpmw.Wait(0))},
		{name: "held_head", locker: heldRow, opts: with(httpmw.Wait(0)), method: http.MethodHead},
		{name: "wait_timeout", locker: heldRow, opts: with(httpmw.Wait(time.Millisecond))},
		{name: "queue_full", locker: heldRow, opts: with(httpmw.MaxWaiters(0))},
		{name: "held_transparent", locker: heldRow, opts: with(httpmw.Wait(0), httpmw.TransparentRetry())},
		{name: "wait_timeout_transparent", locker: heldRow, opts: with(httpmw.Wait(time.Millisecond), httpmw.TransparentRetry())},
		{name: "queue_full_transparent", locker: heldRow, opts: with(httpmw.MaxWaiters(0), httpmw.TransparentRetry())},
		{name: "held_423", locker: heldRow, opts: with(httpmw.Wait(0), httpmw.Status423())},
		{name: "wait_timeout_423", locker: heldRow, opts: with(httpmw.Wait(time.Millisecond), httpmw.Status423())},
		{
			name: "deadline_exceeded", locker: heldRow,
			around: under(func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, time.Millisecond)
			}),
		},
		{
			name: "canceled", // nothing
			around: under(func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(ctx)
				cancel()
				return ctx, cancel
			}),
		},
		{name: "key_missing", tenants: []string{}},
		{name: "key_invalid", tenants: []string{"acme-secret", "other"}},
		{name: "body_too_large", body: "secret", opts: with(httpmw.RequireBuffered(), httpmw.MaxBuffered(5))},
		{name: "body_unsupported", body: "secret", coding: "gzip", key: "doc:{json./secret}"},
		{name: "backend_unavailable", locker: failingRow(&core.AcquireError{
			Err: core.ErrBackend, Cause: errors.New("secret-host:6379 refused"), Info: core.Info{RetryAfter: time.Second},
		})},
		{name: "shutting_down", locker: failingRow(&core.AcquireError{
			Err: core.ErrClosed, Info: core.Info{RetryAfter: time.Second},
		})},
		{
			name: "lost",
			handler: func(f *locktest.Fake, w http.ResponseWriter, r *http.Request) {
				for _, name := range []string{"Content-Digest", "Content-Encoding", "Content-Length", "ETag", "Location", "Retry-After", "Trailer"} {
					w.Header().Set(name, "7") // of the answer that was never written
				}
				w.Header().Set("X-Own", "stays")
				f.Lose(rowKey)
				<-r.Context().Done()
			},
		},
		{
			name: "stale",
			handler: func(_ *locktest.Fake, w http.ResponseWriter, r *http.Request) {
				httpmw.WriteDenial(w, r, core.Denied(core.ErrStale))
			},
		},
		{
			name: "self_deadlock",
			handler: func(f *locktest.Fake, w http.ResponseWriter, r *http.Request) {
				// A second lock with the same key, as when a route is wrapped twice.
				again := mustNew(t, f, httpmw.Key(rowTemplate))
				again(http.HandlerFunc(ok)).ServeHTTP(w, r)
			},
		},
		{name: "internal", locker: failingRow(errors.New("a secret fault"))},
	}
}

// serve starts a server for one request of the row, with HTTP/1.1 and HTTP/2.
func (row denialRow) serve(t *testing.T, tls bool) *httptest.Server {
	t.Helper()
	fake := locktest.New()
	locker := core.Locker(fake)
	if row.locker != nil {
		locker = row.locker(fake)
	}
	lock := mustNew(t, locker, httpmw.Key(cmp.Or(row.key, rowTemplate)), row.opts...)
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
	return serveBoth(t, httpmw.RequestID(httpmw.TrustRequestID())(handler), tls, &lines{})
}

// serveBoth starts a server that takes HTTP/1.1 and HTTP/2, in the clear or with
// TLS, and logs to logged.
func serveBoth(t *testing.T, h http.Handler, tls bool, logged *lines) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(logged, "", 0)
	if tls {
		s.EnableHTTP2 = true
		s.StartTLS()
	} else {
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetHTTP1(true)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// Each row of the table of denials, byte for byte, as each kind of client gets it.
func TestDenialsAsClientsGetThem(t *testing.T) {
	for _, row := range denialRows(t) {
		if row.method == "" {
			row.method = http.MethodPut
		}
		if row.tenants == nil {
			row.tenants = []string{"acme-secret"}
		}
		golden := filepath.Join("testdata", row.name+".golden")
		if *update {
			got := wire(t, row.serve(t, false), row)
			for range 20 { // the least Retry-After
				got = min(got, wire(t, row.serve(t, false), row))
			}
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range clients {
			t.Run(row.name+", "+c.name, func(t *testing.T) {
				want := string(want)
				if c.http2 {
					want = http2Form(want)
				}
				got := c.get(t, row.serve(t, c.tls), row)
				equal(t, "answer", withoutSpread(t, got, want), want)
				if strings.Contains(got, "secret") {
					t.Error("the answer tells the key or an internal error")
				}
			})
		}
	}
}

var retryAfterLine = regexp.MustCompile(`(?mi)^Retry-After: (\d+)$`)

// withoutSpread returns got with the Retry-After of want, if it is that or a
// second more.
func withoutSpread(t *testing.T, got, want string) string {
	t.Helper()
	g, w := retryAfterLine.FindStringSubmatch(got), retryAfterLine.FindStringSubmatch(want)
	if g == nil || w == nil {
		return got
	}
	n := must(strconv.Atoi(w[1]))
	if g[1] != strconv.Itoa(n+1) {
		return got
	}
	return strings.Replace(got, g[0], w[0], 1)
}
