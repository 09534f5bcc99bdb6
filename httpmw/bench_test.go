package httpmw_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

// discard is the cheapest ResponseWriter.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

func BenchmarkHandler(b *testing.B) {
	bare := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	run := func(h http.Handler) func(*testing.B) {
		return func(b *testing.B) {
			r := httptest.NewRequest(http.MethodPut, "/orders/42", nil)
			r.Pattern = pattern
			r.SetPathValue("id", "42")
			w := discard{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		}
	}
	fake := locktest.New()
	b.Run("bare", run(bare))
	b.Run("request ID", run(httpmw.RequestID()(bare)))
	b.Run("guard alone", func(b *testing.B) {
		guard, err := core.NewGuard(fake, core.Wait(time.Second))
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if err := guard.Run(b.Context(), key42, func(context.Context) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("locked", run(mustNew(b, fake, httpmw.Key(template))(bare)))
	fake.Hold("held")
	b.Run("denied", run(mustNew(b, fake, httpmw.KeyFunc(func(*http.Request) (string, error) { return "held", nil }),
		httpmw.Wait(0))(bare)))
}
