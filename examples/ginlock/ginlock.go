package ginlock

import (
	"bufio"
	"io"
	"net"
	"net/http"

	"github.com/gin-gonic/gin"
)

// Route gives the request what net/http's own mux would give it: the route's
// pattern, with gin's names, and the path values. It is for [gin.Engine.Use];
// gin has found the route before its middlewares run. After it, a net/http
// handler that is locked needs gin's own adapter only: gin.WrapH(lock(h)).
func Route(c *gin.Context) {
	if path := c.FullPath(); path != "" {
		c.Request.Pattern = c.Request.Method + " " + path
	}
	for _, p := range c.Params {
		c.Request.SetPathValue(p.Key, p.Value)
	}
}

// Middleware is a lock for gin's own handlers, those that come after it in a
// route. It includes [Route].
func Middleware(lock func(http.Handler) http.Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		Route(c)
		outer, request, ran := c.Writer, c.Request, false
		lock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ran = true
			c.Request, c.Writer = r, ginWriter{outer, w}
			// The context of r ends with the lock. Middlewares around this one may
			// need theirs yet, as to write a log.
			defer func() { c.Request, c.Writer = request, outer }()
			c.Next()
		})).ServeHTTP(outer, c.Request)
		if !ran {
			c.Abort() // denied, and answered
		}
	}
}

// ginWriter is gin's writer, written to by way of the lock's, which has to know
// whether there is an answer: if there is none when a lock is lost, it writes one.
type ginWriter struct {
	gin.ResponseWriter
	tracked http.ResponseWriter
}

func (w ginWriter) WriteHeader(code int)              { w.tracked.WriteHeader(code) }
func (w ginWriter) Write(b []byte) (int, error)       { return w.tracked.Write(b) }
func (w ginWriter) WriteString(s string) (int, error) { return io.WriteString(w.tracked, s) }
func (w ginWriter) Flush()                            { _ = http.NewResponseController(w.tracked).Flush() }
func (w ginWriter) Unwrap() http.ResponseWriter       { return w.tracked }

func (w ginWriter) WriteHeaderNow() {
	w.tracked.WriteHeader(w.Status())
	w.ResponseWriter.WriteHeaderNow()
}

func (w ginWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.tracked).Hijack()
}
