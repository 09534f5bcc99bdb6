package routers

import (
	"net/url"

	"github.com/labstack/echo/v4"
)

// EchoRoute gives the request what net/http's own mux would give it: the route's
// pattern, with echo's names, and the path values, decoded. It is for
// [echo.Echo.Use]; echo has found the route before these middlewares run. After it, a
// lock needs echo's own adapter only: echo.WrapMiddleware(lock).
//
// [echo.Context.Param] stays what echo makes it: if the request has a URL.RawPath,
// the text as the client wrote it. A handler that takes 42 and 4%32 for one order,
// as the lock does, takes its value from [net/http.Request.PathValue].
//
// A handler whose context has ended should return nil. If its lock was lost, the
// request is answered already, and what echo would write for an error is one
// answer too many: net/http drops it, and logs that.
func EchoRoute(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if path := c.Path(); path != "" {
			r.Pattern = r.Method + " " + path
		}
		values := c.ParamValues()
		for i, name := range c.ParamNames() {
			value := values[i]
			if r.URL.RawPath != "" { // this is what echo has read then
				if decoded, err := url.PathUnescape(value); err == nil {
					value = decoded
				}
			}
			r.SetPathValue(name, value)
		}
		return next(c)
	}
}
