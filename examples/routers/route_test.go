package routers_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/examples/routers"
	"github.com/latchkey-go/latchkey/httpmw"
)

type middleware = func(http.Handler) http.Handler

// arrangements are the ways to put telemetry, a lock and a handler together.
// route is what telemetry knows of the request then. Where it stands around the
// routing, it begins its span before there is a route: the span's name has it, the
// attribute http.route is not set.
var arrangements = map[string]struct {
	route  string
	around bool
	build  func(telemetry, lock middleware, h http.Handler) http.Handler
}{
	"ServeMux, telemetry around it": {"/orders/{id}", true, func(telemetry, lock middleware, h http.Handler) http.Handler {
		return telemetry(httpmw.RequestID()(mux(lock(h))))
	}},
	"ServeMux, telemetry around the lock": {"/orders/{id}", false, func(telemetry, lock middleware, h http.Handler) http.Handler {
		return httpmw.RequestID()(mux(telemetry(lock(h))))
	}},
	"chi, telemetry by Use": {"/orders/{id}", true, func(telemetry, lock middleware, h http.Handler) http.Handler {
		r := chi.NewRouter()
		r.Use(telemetry, httpmw.RequestID())
		r.With(lock).Method(http.MethodPut, "/orders/{id}", h)
		return r
	}},
	"chi, telemetry by Use, a router in a router": {"/orders/{id}", true, func(telemetry, lock middleware, h http.Handler) http.Handler {
		r := chi.NewRouter()
		r.Use(telemetry, httpmw.RequestID())
		r.Route("/orders", func(r chi.Router) { r.With(lock).Method(http.MethodPut, "/{id}", h) })
		return r
	}},
	"chi, telemetry around the lock": {"/orders/{id}", false, func(telemetry, lock middleware, h http.Handler) http.Handler {
		r := chi.NewRouter()
		r.With(telemetry, lock).Method(http.MethodPut, "/orders/{id}", h)
		return r
	}},
	// chi serves a copy of the request: around it nobody sees a route, with a
	// lock or without.
	"chi, telemetry around it": {"", true, func(telemetry, lock middleware, h http.Handler) http.Handler {
		r := chi.NewRouter()
		r.With(lock).Method(http.MethodPut, "/orders/{id}", h)
		return telemetry(r)
	}},
	"echo, telemetry around it": {"/orders/:id", true, func(telemetry, lock middleware, h http.Handler) http.Handler {
		e := echo.New()
		e.Use(routers.EchoRoute)
		e.PUT("/orders/:id", echo.WrapHandler(h), echo.WrapMiddleware(lock))
		return telemetry(httpmw.RequestID()(e))
	}},
	"echo, telemetry around the lock": {"/orders/:id", false, func(telemetry, lock middleware, h http.Handler) http.Handler {
		e := echo.New()
		e.Use(routers.EchoRoute, echo.WrapMiddleware(telemetry), echo.WrapMiddleware(httpmw.RequestID()))
		e.PUT("/orders/:id", echo.WrapHandler(h), echo.WrapMiddleware(lock))
		return e
	}},
}

func mux(h http.Handler) http.Handler {
	m := http.NewServeMux()
	m.Handle("PUT /orders/{id}", h)
	return m
}

// A request that is served under a lock, and one that is denied, have the
// http.route of one without a lock, in spans and in metrics.
func TestTheRouteSurvives(t *testing.T) {
	for name, a := range arrangements {
		t.Run(name, func(t *testing.T) {
			fake := locktest.New()
			lock := mustLock(t, fake)
			var key string
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if held, ok := core.FromContext(r.Context()); ok {
					key = held.Key()
				}
				_, _ = io.WriteString(w, "changed")
			})
			sees := func(status int, lock middleware) {
				t.Helper()
				wantRoute(t, a.route, a.around, status, func(telemetry middleware) http.Handler { return a.build(telemetry, lock, h) })
			}
			sees(http.StatusOK, func(h http.Handler) http.Handler { return h })
			if key != "" {
				t.Fatal("locked without a lock")
			}
			sees(http.StatusOK, lock)
			if key != "order:42" {
				t.Fatalf("the key is %q", key)
			}
			fake.Hold("order:42")
			sees(http.StatusConflict, lock)
		})
	}
}

func mustLock(t *testing.T, locker core.Locker) middleware {
	t.Helper()
	lock, err := httpmw.New(locker, httpmw.Key("order:{path.id}"), httpmw.Wait(0))
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

// wantRoute sends a request to what build returns, and checks the route in its
// span and in the metric of its duration; "" is none.
func wantRoute(t *testing.T, route string, around bool, status int, build func(telemetry middleware) http.Handler) {
	t.Helper()
	spans, reader := tracetest.NewSpanRecorder(), sdkmetric.NewManualReader()
	h := build(otelhttp.NewMiddleware("shop",
		otelhttp.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))),
		otelhttp.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))))
	if got, _ := send(t, h); got != status {
		t.Errorf("status %d, want %d", got, status)
	}
	ended := spans.Ended()
	if len(ended) != 1 {
		t.Fatalf("%d spans", len(ended))
	}
	attribute := ""
	for _, a := range ended[0].Attributes() {
		if a.Key == "http.route" {
			attribute = a.Value.AsString()
		}
	}
	if name := ended[0].Name(); name != strings.TrimSpace("PUT "+route) {
		t.Errorf("%d: the span is %q, want the route %q", status, name, route)
	}
	if !around && attribute != route {
		t.Errorf("%d: http.route of the span is %q, want %q", status, attribute, route)
	}
	if metric := routeOfDuration(t, reader); metric != route {
		t.Errorf("%d: http.route of the metric is %q, want %q", status, metric, route)
	}
}

func routeOfDuration(t *testing.T, reader sdkmetric.Reader) string {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			h, ok := m.Data.(metricdata.Histogram[float64])
			if ok && m.Name == "http.server.request.duration" && len(h.DataPoints) == 1 {
				route, _ := h.DataPoints[0].Attributes.Value("http.route")
				return route.AsString()
			}
		}
	}
	t.Fatal("no duration, or several")
	return ""
}

// send sends a request for order 42 over a socket.
func send(t *testing.T, h http.Handler) (status int, body string) {
	t.Helper()
	s := httptest.NewServer(h)
	defer s.Close() // waits for the handlers, and so for the ends of spans
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
	return resp.StatusCode, string(text)
}
