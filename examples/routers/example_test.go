package routers_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/labstack/echo/v4"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/examples/routers"
	"github.com/latchkey-go/latchkey/httpmw"
)

// newLock is the same for each of them; in a service its Locker is core.New(rdb).
func newLock() func(http.Handler) http.Handler {
	lock, err := httpmw.New(locktest.New(), httpmw.Key("order:{path.id}"), httpmw.Wait(2*time.Second))
	if err != nil {
		panic(err)
	}
	return lock
}

// changed is what the handlers answer.
func changed(r *http.Request, id string) string {
	held, _ := core.FromContext(r.Context())
	return "changed order " + id + " under " + held.Key()
}

func put(h http.Handler) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPut, "/orders/42", nil))
	fmt.Println(w.Code, w.Body)
}

// With, not Use: the middlewares of Use run before chi has found the route. The
// handler does not ask chi.URLParam, which is decoded for some spellings of a path
// only.
func Example_chi() {
	lock := newLock()
	router := chi.NewRouter()
	router.Use(httpmw.RequestID())
	router.With(lock).Put("/orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, err := httpmw.PathValue(r, "id")
		if err != nil { // not under a lock with {path.id} in its key
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprint(w, changed(r, id))
	})

	put(router)
	// Output: 200 changed order 42 under order:42
}

func ExampleEchoRoute() {
	lock := newLock()
	e := echo.New()
	e.Use(routers.EchoRoute)
	e.PUT("/orders/:id", func(c echo.Context) error {
		return c.String(http.StatusOK, changed(c.Request(), c.Request().PathValue("id")))
	}, echo.WrapMiddleware(lock))

	put(e)
	// Output: 200 changed order 42 under order:42
}
