package ginlock_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/examples/ginlock"
	"github.com/latchkey-go/latchkey/httpmw"
)

func ExampleMiddleware() {
	gin.SetMode(gin.ReleaseMode)
	lock, err := httpmw.New(locktest.New(), httpmw.Key("order:{path.id}")) // core.New(rdb) in a service
	if err != nil {
		panic(err)
	}
	router := gin.New()
	router.PUT("/orders/:id", ginlock.Middleware(lock), func(c *gin.Context) {
		held, _ := core.FromContext(c.Request.Context())
		c.String(http.StatusOK, "changed order "+c.Param("id")+" under "+held.Key())
	})

	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequest(http.MethodPut, "/orders/42", nil))
	fmt.Println(w.Code, w.Body)
	// Output: 200 changed order 42 under order:42
}

// A handler of net/http behind gin's own adapter.
func ExampleRoute() {
	gin.SetMode(gin.ReleaseMode)
	lock, err := httpmw.New(locktest.New(), httpmw.Key("order:{path.id}")) // core.New(rdb) in a service
	if err != nil {
		panic(err)
	}
	putOrder := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "changed order", r.PathValue("id"), "at", r.Pattern)
	})
	router := gin.New()
	router.Use(ginlock.Route)
	router.PUT("/orders/:id", gin.WrapH(lock(putOrder)))

	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequest(http.MethodPut, "/orders/42", nil))
	fmt.Print(w.Code, " ", w.Body)
	// Output: 200 changed order 42 at PUT /orders/:id
}
