package httpmw_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

// Each tenant has its own locks. The tenant comes from authentication, not from
// what the client says, so that nobody can aim at another's.
func ExampleKey_tenant() {
	type tenantKey struct{}
	tenant := func(ctx context.Context) string {
		name, _ := ctx.Value(tenantKey{}).(string)
		return name
	}
	lock, err := httpmw.New(locktest.New(),
		httpmw.Key("order:{context.tenant}:{path.id}", httpmw.ContextValue("tenant", tenant)))
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("PUT /orders/{id}", lock(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		held, _ := core.FromContext(r.Context())
		fmt.Println("runs under", held.Key())
	})))

	for _, name := range []string{"acme", "acme:4", ""} {
		r := httptest.NewRequest(http.MethodPut, "/orders/42", nil)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tenantKey{}, name)))
		fmt.Println(w.Code)
	}
	// Output:
	// runs under order:acme:42
	// 200
	// runs under order:acme%3A4:42
	// 200
	// 400
}

// The key is in a JSON body, which the handler reads again.
func ExampleKey_body() {
	lock, err := httpmw.New(locktest.New(), httpmw.Key("account:{json./transfer/from}"))
	if err != nil {
		fmt.Println(err)
		return
	}
	h := lock(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		held, _ := core.FromContext(r.Context())
		body, _ := io.ReadAll(r.Body)
		fmt.Printf("%s: %s\n", held.Key(), body)
	}))
	for _, body := range []string{
		`{"transfer": {"from": "DE02", "to": "DE07", "cents": 100}}`,
		`{"transfer": {"from": "DE02", "From": "DE99", "cents": 100}}`, // which one will the handler take?
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/transfers", strings.NewReader(body)))
		fmt.Println(w.Code)
	}
	// Output:
	// account:DE02: {"transfer": {"from": "DE02", "to": "DE07", "cents": 100}}
	// 200
	// 400
}

// A batch client may wait longer than a browser, and reading is not locked.
func ExampleWaitFunc() {
	lock, err := httpmw.New(locktest.New(), httpmw.Key("stock:{request.host}:{query.sku}"),
		httpmw.Only(httpmw.UnsafeMethods),
		httpmw.WaitFunc(func(r *http.Request) time.Duration {
			if strings.HasPrefix(r.URL.Path, "/batch/") {
				return time.Minute
			}
			return 2 * time.Second
		}))
	if err != nil {
		fmt.Println(err)
		return
	}
	h := lock(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if held, locked := core.FromContext(r.Context()); locked {
			fmt.Println(r.Method, "runs under", held.Key())
		} else {
			fmt.Println(r.Method, "runs without a lock")
		}
	}))
	for _, method := range []string{http.MethodPost, http.MethodGet} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, "http://shop.example/batch/stock?sku=7", nil))
	}
	// Output:
	// POST runs under stock:shop.example:7
	// GET runs without a lock
}
