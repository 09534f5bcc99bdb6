package routers_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/labstack/echo/v4"

	"github.com/latchkey-go/latchkey/examples/routers"
	"github.com/latchkey-go/latchkey/internal/routertest"
)

// locking makes the lock of a route, or none.
type locking func(template string) middleware

func noLock(string) middleware { return func(h http.Handler) http.Handler { return h } }

// spelt are the routers, with every kind of route that they have. Handlers say which
// values they have been given, decoded as the router's documentation has it.
var spelt = map[string]func(locking) http.Handler{
	"ServeMux":            serveMux,
	"chi":                 func(lock locking) http.Handler { return chiRouter(lock) },
	cleaning:              func(lock locking) http.Handler { return chiRouter(lock, chimiddleware.CleanPath) },
	"chi behind ServeMux": func(lock locking) http.Handler { return below(chiRouter(lock)) },
	"echo":                echoRouter,
	"echo behind chi":     func(lock locking) http.Handler { return chiAround(echoRouter(lock)) },
}

// stripping is tried with locks around it only: behind StripSlashes chi's values are
// decoded or not by whether the path ends with a slash.
const (
	stripping = "chi with StripSlashes"
	cleaning  = "chi with CleanPath"
)

func serveMux(lock locking) http.Handler {
	m := http.NewServeMux()
	route := func(m *http.ServeMux, pattern string, names ...string) {
		m.Handle(pattern, lock(template(names))(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			defer func() { _ = recover() }() // PathValue may panic: golang/go#81222
			var values []string
			for _, name := range names {
				values = append(values, r.PathValue(name))
			}
			routertest.Saw(r, pattern, values...)
		})))
	}
	for pattern, names := range map[string][]string{
		"/orders/{id}": {"id"}, "/orders/{id}/items/{item}": {"id", "item"}, "/orders/{id}/files/{rest...}": {"id", "rest"},
		"/tails/{id}/": {"id"}, "/{tenant}": {"tenant"}, "/ends/{tenant}/{$}": {"tenant"},
	} {
		route(m, pattern, names...)
	}
	for _, pattern := range []string{"/healthz", "/healthz/"} {
		m.HandleFunc(pattern, func(_ http.ResponseWriter, r *http.Request) { routertest.Saw(r, pattern) })
	}
	inner := http.NewServeMux()
	route(inner, "/items/{item}", "item")
	m.Handle("/mounted/", http.StripPrefix("/mounted", inner))
	nested := http.NewServeMux()
	route(nested, "/shop/{x}/items/{item}", "shop", "item")
	m.Handle("/shop/{shop}/", nested)
	return m
}

// orders are the patterns of a ServeMux for what the router takes for the routes of
// orders: a last :item of echo takes slashes, and two middlewares drop one at the end.
func orders(router string) []string {
	if strings.HasPrefix(router, "echo") {
		return []string{"/orders/{id...}"}
	}
	patterns := []string{"/orders/{id}", "/orders/{id}/items/{item}", "/orders/{id}/files/{rest...}"}
	if router == stripping || router == cleaning {
		patterns = append(patterns, "/orders/{id}/{$}", "/orders/{id}/items/{item}/{$}")
	}
	return patterns
}

// template is of a key with these path values.
func template(names []string) string {
	text := "x"
	for _, name := range names {
		text += ":{path." + name + "}"
	}
	return text
}

func chiRouter(lock locking, use ...middleware) http.Handler {
	m := chi.NewRouter()
	m.Use(use...)
	route := func(m chi.Router, name, pattern string, names ...string) {
		m.With(lock(template(names))).Handle(pattern, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			var values []string
			for _, name := range names {
				values = append(values, routertest.Decoded(r.URL.RawPath != "", chi.URLParam(r, name)))
			}
			routertest.Saw(r, name, values...)
		}))
	}
	for pattern, names := range map[string][]string{
		"/orders/{id}": {"id"}, "/orders/{id}/items/{item:[^/]+}": {"id", "item"}, "/orders/{id}/files/*": {"id", "*"},
		"/parts/{part}-{of:.{1,9}}.json": {"part", "of"}, "/parts/{part}.json": {"part"}, "/parts/{part}F": {"part"},
		"/{tenant}": {"tenant"}, "/{tenant}/": {"tenant"},
	} {
		route(m, pattern, pattern, names...)
	}
	for _, pattern := range []string{"/healthz", "/healthz/*"} {
		m.HandleFunc(pattern, func(_ http.ResponseWriter, r *http.Request) { routertest.Saw(r, pattern) })
	}
	m.Route("/shop/{shop}", func(m chi.Router) { route(m, "shop", "/items/{item}", "shop", "item") })
	inner := chi.NewRouter()
	route(inner, "mounted", "/items/{item}", "item")
	m.Mount("/mounted", inner)
	m.Mount("/stripped", http.StripPrefix("/stripped", serveMux(lock)))
	return m
}

// below is h behind a mux with a path value of its own.
func below(h http.Handler) http.Handler {
	m := http.NewServeMux()
	m.Handle("/", h)
	m.Handle("/below/{tenant}/", http.StripPrefix("/below/a%2Fb", h))
	return m
}

func chiAround(h http.Handler) http.Handler {
	m := chi.NewRouter()
	m.Handle("/*", h)
	m.Mount("/below", http.StripPrefix("/below", h))
	return m
}

func echoRouter(lock locking) http.Handler {
	e := echo.New()
	e.Use(routers.EchoRoute)
	route := func(add func(string, echo.HandlerFunc, ...echo.MiddlewareFunc) *echo.Route, name, path string, names ...string) {
		add(path, func(c echo.Context) error {
			var values []string
			for _, name := range names {
				values = append(values, routertest.Decoded(c.Request().URL.RawPath != "", c.Param(name)))
			}
			routertest.Saw(c.Request(), name, values...)
			return nil
		}, echo.WrapMiddleware(lock(template(names))))
	}
	for path, names := range map[string][]string{
		"/orders/:id": {"id"}, "/orders/:id/items/:item": {"id", "item"}, "/orders/:id/files/*": {"id", "*"},
		"/parts/p:part": {"part"}, "/:tenant": {"tenant"},
	} {
		route(e.PUT, path, path, names...)
		route(e.CONNECT, path, path, names...)
	}
	for _, path := range []string{"/healthz", "/healthz/*"} {
		e.Any(path, func(c echo.Context) error { routertest.Saw(c.Request(), path); return nil })
	}
	route(e.Group("/shop/:shop").PUT, "shop", "/items/:item", "shop", "item")
	return e
}

// Two requests that reach one handler with the same path value have one key, with
// different ones two, and none that reaches a locked handler is unlocked.
func FuzzPathsUnderRouters(f *testing.F) {
	for _, seed := range routertest.Seeds {
		f.Add(seed[0], seed[1])
	}
	locked, around := map[string]http.Handler{}, map[string]routertest.Whole{}
	for name, router := range spelt {
		locked[name] = router(routertest.Lock)
		if !strings.Contains(name, " behind ") { // below a prefix the same handlers are at other paths
			around[name] = routertest.Around(router(noLock), orders(name)...)
		}
	}
	around[stripping] = routertest.Around(chiRouter(noLock, chimiddleware.StripSlashes), orders(stripping)...)
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
