package httpmw_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/keys"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

// One payment per order at a time: however often the button is pressed, and on
// whichever replica the requests arrive, they run one after the other. That is all
// that a lock does: the second submit still runs, after the first. It does not
// charge again because it looks first, and the lock makes looking worth something.
// What to look at is a database that checks the fencing token: see
// examples/payment.
func ExampleNew() {
	locker := locktest.New() // core.New(rdb) in a service
	lock, err := httpmw.New(locker, httpmw.Key("order:{path.id}"), httpmw.Wait(2*time.Second))
	if err != nil {
		fmt.Println(err)
		return
	}

	paid := map[string]bool{} // no mutex: the lock is one
	mux := http.NewServeMux()
	mux.Handle("POST /orders/{id}/payment", lock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("id")
		if paid[id] {
			fmt.Println("order", id, "is paid")
			return
		}
		paid[id] = true
		fmt.Println("charging the card for order", id)
	})))
	server := httptest.NewServer(mux)
	defer server.Close()

	var clicks sync.WaitGroup
	for range 3 {
		clicks.Go(func() {
			resp, err := http.Post(server.URL+"/orders/42/payment", "", nil)
			if err != nil {
				fmt.Println(err)
				return
			}
			_ = resp.Body.Close()
		})
	}
	clicks.Wait()
	// Output:
	// charging the card for order 42
	// order 42 is paid
	// order 42 is paid
}

// What a client gets that does not get its turn.
func ExampleNew_denied() {
	locker := locktest.New()
	lock, err := httpmw.New(locker, httpmw.Key("order:{path.id}"), httpmw.Wait(0))
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("PUT /orders/{id}", lock(http.NotFoundHandler()))

	locker.Hold("order:42", core.TTL(3*time.Second)) // another replica is at it
	w := httptest.NewRecorder()
	traced := httpmw.RequestID(httpmw.TrustRequestID())(mux)
	r := httptest.NewRequest(http.MethodPut, "/orders/42", nil)
	r.Header.Set("X-Request-ID", "7f3a")
	traced.ServeHTTP(w, r)

	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	fmt.Println(w.Body)
	// Output:
	// 409 application/problem+json
	// {"type":"tag:latchkey-go.github.io,2026:problem:lock-held","title":"Lock held","status":409,"detail":"Another request with the same lock key is being processed.","instance":"tag:latchkey-go.github.io,2026:request:7f3a","reason":"LOCK_HELD","retry_after_ms":3000}
}

// A key that no template can express: the account of the session.
func ExampleKeyFunc() {
	sessions := map[string]string{"s3cr3t": "alice"}
	account := func(r *http.Request) (string, error) {
		cookie, err := r.Cookie("session")
		if errors.Is(err, http.ErrNoCookie) {
			return "", core.ErrKeyMissing
		}
		name, known := sessions[cookie.Value]
		if !known {
			return "", core.ErrKey
		}
		return keys.Join("account", name), nil
	}
	lock, err := httpmw.New(locktest.New(), httpmw.KeyFunc(account))
	if err != nil {
		fmt.Println(err)
		return
	}
	h := lock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		held, _ := core.FromContext(r.Context())
		fmt.Fprintln(w, "runs under", held.Key())
	}))

	for _, session := range []string{"s3cr3t", "guessed", ""} {
		r := httptest.NewRequest(http.MethodPost, "/transfer", nil)
		if session != "" {
			r.AddCookie(&http.Cookie{Name: "session", Value: session})
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			fmt.Println(w.Code)
			continue
		}
		fmt.Print(w.Body)
	}
	// Output:
	// runs under account:alice
	// 400
	// 400
}

// The store refuses the fencing token of a holder that was paused for too long,
// and the client is told so.
func ExampleWriteDenial() {
	var stock fencedStock
	locker := locktest.New()
	lock, err := httpmw.New(locker, httpmw.Key("item:{path.sku}"))
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("POST /items/{sku}/sale", lock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		held, _ := core.FromContext(r.Context())
		if err := stock.sell(held.Token()); err != nil {
			httpmw.WriteDenial(w, r, core.Denied(err))
			return
		}
		_, _ = io.WriteString(w, "sold")
	})))

	stock.seen = 1000 // a later holder has been here while this one was paused
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/items/42/sale", nil))
	fmt.Println(w.Code, http.StatusText(w.Code))
	// Output: 409 Conflict
}

// fencedStock is a store that remembers the highest fencing token.
type fencedStock struct{ seen uint64 }

func (s *fencedStock) sell(token uint64) error {
	if token < s.seen {
		return fmt.Errorf("token %d after %d: %w", token, s.seen, core.ErrStale)
	}
	s.seen = token
	return nil
}
