package ginlock_test

import (
	"net/http"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-go/latchkey/examples/ginlock"
	"github.com/latchkey-go/latchkey/internal/routertest"
)

// settings are those of gin that change what a path value is. raw reports whether
// c.Param is as the client wrote it.
var settings = map[string]struct {
	set func(*gin.Engine)
	raw func(*http.Request) bool
}{
	"gin":            {func(*gin.Engine) {}, never},
	"UseRawPath":     {func(e *gin.Engine) { e.UseRawPath = true }, never},
	"UseEscapedPath": {func(e *gin.Engine) { e.UseEscapedPath = true }, never},
	"UseRawPath, without UnescapePathValues": {func(e *gin.Engine) { e.UseRawPath, e.UnescapePathValues = true, false },
		func(r *http.Request) bool { return r.URL.RawPath != "" }},
	"UseEscapedPath, without UnescapePathValues": {func(e *gin.Engine) { e.UseEscapedPath, e.UnescapePathValues = true, false },
		func(*http.Request) bool { return true }},
	"RemoveExtraSlash":                 {func(e *gin.Engine) { e.RemoveExtraSlash, e.RedirectFixedPath = true, true }, never},
	"UseEscapedPath, RemoveExtraSlash": {func(e *gin.Engine) { e.UseEscapedPath, e.RemoveExtraSlash = true, true }, never},
}

func never(*http.Request) bool { return false }

func router(set func(*gin.Engine), raw func(*http.Request) bool, lock func(template string) routertest.Middleware) http.Handler {
	e := gin.New()
	set(e)
	for path, names := range map[string][]string{
		"/orders/:id": {"id"}, "/orders/:id/items/:item": {"id", "item"}, "/orders/:id/files/*rest": {"id", "rest"},
		"/parts/p:part": {"part"}, "/:tenant": {"tenant"}, "/shop/:shop/items/:item": {"shop", "item"},
	} {
		template := "x"
		for _, name := range names {
			template += ":{path." + name + "}"
		}
		e.Any(path, ginlock.Middleware(lock(template)), func(c *gin.Context) {
			var values []string
			for _, name := range names {
				values = append(values, routertest.Decoded(raw(c.Request), c.Param(name)))
			}
			routertest.Saw(c.Request, path, values...)
		})
	}
	for _, path := range []string{"/healthz", "/healthz/*rest"} {
		e.Any(path, func(c *gin.Context) { routertest.Saw(c.Request, path) })
	}
	return e
}

// As for the routers of examples/routers.
func FuzzPathsUnderGin(f *testing.F) {
	gin.SetMode(gin.ReleaseMode)
	for _, seed := range routertest.Seeds {
		f.Add(seed[0], seed[1])
	}
	unlocked := func(string) routertest.Middleware { return func(h http.Handler) http.Handler { return h } }
	locked, around := map[string]http.Handler{}, map[string]routertest.Whole{}
	for name, s := range settings {
		locked[name] = router(s.set, s.raw, routertest.Lock)
		around[name] = routertest.Around(router(s.set, s.raw, unlocked),
			"/orders/{id}", "/orders/{id}/items/{item}", "/orders/{id}/files/{rest...}")
	}
	f.Fuzz(func(t *testing.T, one, other string) {
		one, other = routertest.Target(one), routertest.Target(other)
		for name, router := range locked {
			routertest.Keys(t, name, router, one, other)
		}
		for name, whole := range around {
			whole.Locked(t, name, one, other)
		}
	})
}
