package routers_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/labstack/echo/v4"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/examples/routers"
)

// Through the adapters, a lock knows whether its handler has written: one that
// has not is answered, and none is answered twice.
func TestALostLockIsAnsweredIfItsHandlerHasNotAnswered(t *testing.T) {
	frameworks := map[string]func(lock middleware, serve func(context.Context, http.ResponseWriter)) http.Handler{
		"gin": func(lock middleware, serve func(context.Context, http.ResponseWriter)) http.Handler {
			r := gin.New()
			r.PUT("/orders/:id", routers.Gin(lock), func(c *gin.Context) { serve(c.Request.Context(), c.Writer) })
			return r
		},
		"echo": func(lock middleware, serve func(context.Context, http.ResponseWriter)) http.Handler {
			e := echo.New()
			e.Use(routers.EchoRoute)
			e.PUT("/orders/:id", func(c echo.Context) error {
				serve(c.Request().Context(), c.Response())
				return nil
			}, echo.WrapMiddleware(lock))
			return e
		},
	}
	for name, row := range map[string]struct {
		write  func(http.ResponseWriter)
		status int
		body   string
	}{
		"nothing":  {func(http.ResponseWriter) {}, http.StatusInternalServerError, `"reason":"LOCK_LOST"`},
		"a status": {func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) }, http.StatusNoContent, ""},
		"a body":   {func(w http.ResponseWriter) { _, _ = w.Write([]byte("done")) }, http.StatusOK, "done"},
		"a string": {func(w http.ResponseWriter) { _, _ = io.WriteString(w, "done") }, http.StatusOK, "done"},
		"a flush":  {func(w http.ResponseWriter) { w.(http.Flusher).Flush() }, http.StatusOK, ""},
	} {
		for framework, build := range frameworks {
			t.Run(framework+", "+name, func(t *testing.T) {
				fake := locktest.New()
				status, body := send(t, build(mustLock(t, fake), func(ctx context.Context, w http.ResponseWriter) {
					row.write(w)
					lock, _ := core.FromContext(ctx)
					fake.Lose(lock.Key())
					<-ctx.Done()
				}))
				if status != row.status || !strings.Contains(body, row.body) || len(row.body) == 0 && body != "" ||
					strings.Count(body, "{") > 1 {
					t.Errorf("answered %d %q", status, body)
				}
			})
		}
	}
}

func TestAfterADenialGinRunsNoFurtherHandler(t *testing.T) {
	fake := locktest.New()
	fake.Hold("PUT /orders/%3Aid%:order:42")
	r := gin.New()
	r.PUT("/orders/:id", routers.Gin(mustLock(t, fake)),
		func(*gin.Context) { t.Error("a handler ran") }, func(*gin.Context) { t.Error("another one ran") })
	if status, _ := send(t, r); status != http.StatusConflict {
		t.Errorf("answered %d", status)
	}
}
