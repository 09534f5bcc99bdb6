package ginlock_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/examples/ginlock"
	"github.com/latchkey-go/latchkey/httpmw"
)

// serve sends a request for order 42 over a socket to a gin router with these
// handlers under a lock. It also returns what a middleware around the router sees
// as its route.
func serve(t *testing.T, locker core.Locker, handlers ...gin.HandlerFunc) (status int, body, route string) {
	t.Helper()
	gin.SetMode(gin.ReleaseMode)
	lock, err := httpmw.New(locker, httpmw.Key("order:{path.id}"), httpmw.Wait(0))
	if err != nil {
		t.Fatal(err)
	}
	router := gin.New()
	router.PUT("/orders/:id", append([]gin.HandlerFunc{ginlock.Middleware(lock)}, handlers...)...)
	inner := httpmw.RequestID()(router)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(w, r)
		route = r.Pattern // as otelhttp reads it, for http.route
	}))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL+"/orders/42", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	s.Close() // waits for the handler
	return resp.StatusCode, string(text), route
}

func TestADenialIsTheAnswerAndNoHandlerRuns(t *testing.T) {
	fake := locktest.New()
	fake.Hold("order:42")
	status, body, route := serve(t, fake,
		func(*gin.Context) { t.Error("a handler ran") }, func(*gin.Context) { t.Error("another one ran") })
	if status != http.StatusConflict || !strings.Contains(body, "LOCK_HELD") || route != "PUT /orders/:id" {
		t.Errorf("answered %d %q at %q", status, body, route)
	}
}

func TestAMiddlewareAroundTheLockHasItsOwnRequestAgain(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	lock, err := httpmw.New(locktest.New(), httpmw.Key("order:{path.id}"))
	if err != nil {
		t.Fatal(err)
	}
	router := gin.New()
	router.Use(func(c *gin.Context) {
		c.Next()
		_, held := core.FromContext(c.Request.Context())
		if err := c.Request.Context().Err(); err != nil || held || c.Request.Pattern != "PUT /orders/:id" {
			t.Errorf("its context: %v, with a lock: %v; pattern %q", err, held, c.Request.Pattern)
		}
	})
	router.PUT("/orders/:id", ginlock.Middleware(lock), func(c *gin.Context) { c.String(http.StatusOK, "ok") })
	router.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPut, "/orders/42", nil))
}

func TestALostLockIsAnsweredIfItsHandlerHasNotAnswered(t *testing.T) {
	for name, row := range map[string]struct {
		handle gin.HandlerFunc
		status int
		body   string
	}{
		"nothing":       {func(*gin.Context) {}, http.StatusInternalServerError, `"reason":"LOCK_LOST"`},
		"a status":      {func(c *gin.Context) { c.Status(http.StatusAccepted) }, http.StatusAccepted, ""},
		"a status, now": {func(c *gin.Context) { c.AbortWithStatus(http.StatusAccepted) }, http.StatusAccepted, ""},
		"the header":    {func(c *gin.Context) { c.Writer.WriteHeaderNow() }, http.StatusOK, ""},
		"a body":        {func(c *gin.Context) { c.JSON(http.StatusOK, []int{7}) }, http.StatusOK, "[7]"},
		"a string":      {func(c *gin.Context) { _, _ = c.Writer.WriteString("done") }, http.StatusOK, "done"},
		"a flush":       {func(c *gin.Context) { c.Writer.Flush() }, http.StatusOK, ""},
		"a refused upgrade": {func(c *gin.Context) {
			if _, _, err := c.Writer.Hijack(); err == nil {
				t.Error("a locked connection was taken over")
			}
		}, http.StatusInternalServerError, `"reason":"LOCK_LOST"`},
	} {
		t.Run(name, func(t *testing.T) {
			fake := locktest.New()
			status, body, route := serve(t, fake, func(c *gin.Context) {
				row.handle(c)
				ctx := c.Request.Context()
				lock, _ := core.FromContext(ctx)
				fake.Lose(lock.Key())
				<-ctx.Done()
			})
			if status != row.status || !strings.Contains(body, row.body) || row.body == "" && body != "" || route != "PUT /orders/:id" {
				t.Errorf("answered %d %q at %q", status, body, route)
			}
		})
	}
}
