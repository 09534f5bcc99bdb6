package httpmw_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

// A lock on trial: all requests are served, and those that it would have made
// wait, or has no key for, are counted. Without Shadow it is in force.
func ExampleShadow() {
	locker := locktest.New()
	lock, err := httpmw.New(locker, httpmw.Key("order:{header.X-Tenant}:{path.id}"),
		httpmw.Shadow(), // leave this line out when the numbers are right
		httpmw.OnDeny(func(_ http.ResponseWriter, r *http.Request, d *core.Denial) {
			fmt.Println("would be denied:", r.Pattern, d.Reason)
		}))
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("PUT /orders/{id}", lock(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		fmt.Println("served")
	})))

	locker.Hold("order:acme:42") // another replica is at it
	for _, tenant := range []string{"acme", "umbrella", ""} {
		r := httptest.NewRequest(http.MethodPut, "/orders/42", nil)
		r.Header.Set("X-Tenant", tenant)
		mux.ServeHTTP(httptest.NewRecorder(), r)
	}
	// Output:
	// would be denied: PUT /orders/{id} LOCK_HELD
	// served
	// served
	// would be denied: PUT /orders/{id} LOCK_KEY_MISSING
	// served
}
