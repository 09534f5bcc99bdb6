package httpmw_test

import (
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

// A client that tries again when it was denied, with the same request ID and the
// same body, when the server says that it is worth it. What was denied has not
// run, so that is safe for a POST.
func ExampleRetryHeld() {
	locker := locktest.New()
	shop := httptest.NewServer(retryingShop(locker))
	defer shop.Close()
	release := locker.Hold("order:42", core.TTL(core.MinTTL)) // another replica is at it

	logRetry := func(_ *http.Request, denied httpmw.Retry) {
		fmt.Println("attempt", denied.Attempt, "was denied:", denied.Reason)
		release() // and now it is done
	}

	transport, err := httpmw.Transport(http.DefaultTransport, httpmw.RetryHeld(3), httpmw.OnRetry(logRetry))
	if err != nil {
		panic(err)
	}
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	resp, err := client.Post(shop.URL+"/orders/42/payment", "text/plain", strings.NewReader("10 euros"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(resp.Body)
	fmt.Printf("%s %s\n", resp.Status, body)
	// Output:
	// attempt 1 was denied: LOCK_HELD
	// 200 OK paid: 10 euros
}

func retryingShop(locker core.Locker) http.Handler {
	lock, err := httpmw.New(locker, httpmw.Key("order:{path.id}"), httpmw.Wait(0))
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST /orders/{id}/payment", lock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "paid: ")
		_, _ = io.Copy(w, r.Body)
	})))
	return mux
}
