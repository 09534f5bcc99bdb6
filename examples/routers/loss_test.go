package routers_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/examples/routers"
)

// Through echo's adapter a lock knows whether its handler has written: one that
// has not is answered, and what echo makes of its error does not come after.
func TestUnderEchoALostLockIsAnsweredOnce(t *testing.T) {
	for name, row := range map[string]struct {
		handle func(echo.Context) error
		status int
		body   string
	}{
		"nothing written":       {func(echo.Context) error { return nil }, http.StatusInternalServerError, `"reason":"LOCK_LOST"`},
		"nothing, and an error": {func(echo.Context) error { return echo.ErrTeapot }, http.StatusInternalServerError, `"reason":"LOCK_LOST"`},
		"a status":              {func(c echo.Context) error { return c.NoContent(http.StatusAccepted) }, http.StatusAccepted, ""},
		"a body":                {func(c echo.Context) error { return c.String(http.StatusOK, "done") }, http.StatusOK, "done"},
	} {
		t.Run(name, func(t *testing.T) {
			fake := locktest.New()
			e := echo.New()
			e.Use(routers.EchoRoute)
			e.PUT("/orders/:id", func(c echo.Context) error {
				err := row.handle(c)
				ctx := c.Request().Context()
				lock, _ := core.FromContext(ctx)
				fake.Lose(lock.Key())
				<-ctx.Done()
				return err
			}, echo.WrapMiddleware(mustLock(t, fake)))
			status, body := send(t, e)
			if status != row.status || !strings.Contains(body, row.body) || strings.Count(body, "{") > 1 {
				t.Errorf("answered %d %q", status, body)
			}
		})
	}
}
