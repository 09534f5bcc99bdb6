package httpmw_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

// parse returns the request that a server makes of a request line.
func parse(t testing.TB, line string, header ...string) *http.Request {
	t.Helper()
	method, target, _ := strings.Cut(line, " ")
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(
		method + " " + target + " HTTP/1.1\r\nHost: shop.example\r\n" + strings.Join(append(header, ""), "\r\n") + "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Each of these reaches a locked handler behind some router: see the fuzz test in
// examples/routers.
func TestNoSpellingUnlocksARequest(t *testing.T) {
	exceptHealth := httpmw.Except(httpmw.PathPrefix("/healthz"))
	exceptPattern := httpmw.Except(httpmw.Patterns("/healthz/", "GET /orders/{id}"))
	onlyAPI := httpmw.Only(httpmw.PathPrefix("/api"))
	onlyPattern := httpmw.Only(httpmw.Patterns("PUT /orders/{id}", "/orders/{id}/items/"))
	for _, row := range []struct {
		name     string
		opt      httpmw.Option
		locked   []string
		unlocked []string
	}{
		{"except a prefix", exceptHealth,
			[]string{
				"POST /orders/42/..%2F..%2Fhealthz", "POST /orders/42/../../healthz", "POST /orders/42/%2e%2e/%2e%2e/healthz",
				"POST /orders/42/%2e%2e/..%2fhealthz", "POST /orders%2F..%2Fhealthz", "POST /healthz/../orders/42",
				"POST /healthz/%2e%2e/orders/42", "POST /healthz%2F..%2Forders", "POST /healthz%2fx", "POST //healthz",
				"POST /./healthz", "POST /%68ealthz", "POST /healthz;x", "POST /healthzx", "POST /Healthz", "POST /x/healthz",
				"POST http://healthz/orders/42", "POST http://shop.example/healthz/../orders/42", "CONNECT /healthz/../orders/42",
				"CONNECT /orders/42/../../healthz", "CONNECT healthz:80", "POST http://shop.example",
			},
			[]string{
				"POST /healthz", "POST /healthz/", "POST /healthz/x", "POST /healthz?x=/../y", "POST http://shop.example/healthz",
				"POST /healthz/a%20b", "POST /healthz/(a)", "POST /healthz/a%2Fb", "POST /healthz/.hidden", "POST /healthz/100%25",
			}},
		{"except patterns", exceptPattern,
			[]string{
				"GET /orders/42/..%2F..%2Fhealthz/x", "GET /orders/42/../../healthz/x", "GET /healthz", "GET /healthz%2fx",
				"GET /orders/4%2F2", "GET /orders/..", "GET /orders/../42", "GET //orders/42", "GET /orders/42/", "CONNECT /orders/42",
				"GET /%6frders/42", "CONNECT /healthz/../orders/42", "PUT /orders/42",
			},
			[]string{"GET /orders/42", "HEAD /orders/42", "GET /healthz/", "GET /healthz/x", "GET /orders/(42)", "GET /orders/a%20b"}},
		{"only a prefix", onlyAPI,
			[]string{
				"GET /api%2Fx", "GET /%61pi/x", "GET //api/x", "GET /x/../api/y", "GET /x/%2e%2e/api", "GET /x%2F..%2Fapi", "GET /api/../x",
				"GET /api/..", "CONNECT /api/x", "GET /./api", "GET http://other.example/api", "GET /api;x/../../api/y",
			},
			[]string{"GET /", "GET /x/api", "GET /apiary", "GET /x/(a)", "GET /x%2Fapi"}},
		{"only patterns", onlyPattern,
			[]string{
				"PUT /orders/42", "PUT /orders/4%32", "PUT /orders%2F42", "PUT //orders/42", "PUT /orders/x/../42", "PUT /orders/..",
				"PUT /orders/a%2Fb", "PUT /orders/42%2Fitems%2F7", "CONNECT /orders/42/items/../7", "GET /orders/42/./items/", "GET /orders/42/items/.", "GET /orders/42/items/7/..",
			},
			[]string{"GET /orders/42", "PUT /orders/", "PUT /orders", "PUT /x/(a)"}},
		{"everything below the root", httpmw.Only(httpmw.PathPrefix("/")),
			[]string{"GET /", "GET http://shop.example", "GET /%2e", "GET //", "PUT *"}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			for want, lines := range map[bool][]string{true: row.locked, false: row.unlocked} {
				for _, line := range lines {
					equal(t, line+" is locked", isLocked(t, parse(t, line), row.opt), want)
				}
			}
		})
	}
}

func TestAnOverriddenMethodDoesNotUnlockARequest(t *testing.T) {
	const cors = "Origin: https://a.example"
	for _, row := range []struct {
		name   string
		opt    httpmw.Option
		line   string
		header []string
		locked bool
	}{
		{"a safe method that hides another", httpmw.Only(httpmw.UnsafeMethods), "GET /x", []string{"X-HTTP-Method-Override: DELETE"}, true},
		{"the same, by other names", httpmw.Only(httpmw.UnsafeMethods), "GET /x", []string{"x-method-override: patch"}, true},
		{"the same, by other names", httpmw.Only(httpmw.UnsafeMethods), "GET /x", []string{"X-Http-Method: PUT"}, true},
		{"a safe one that hides a safe one", httpmw.Only(httpmw.UnsafeMethods), "GET /x", []string{"X-HTTP-Method-Override: HEAD"}, false},
		{"an unsafe one that shows a safe one", httpmw.Only(httpmw.UnsafeMethods), "PUT /x", []string{"X-HTTP-Method-Override: GET"}, true},
		{"one of the methods, hidden", httpmw.Only(httpmw.Methods("DELETE")), "POST /x", []string{"X-HTTP-Method-Override: delete"}, true},
		{"an excepted method", httpmw.Except(httpmw.Methods("GET")), "GET /x", []string{"X-HTTP-Method-Override: DELETE"}, true},
		{"a method and a path", httpmw.Only(httpmw.Patterns("DELETE /orders/{id}")), "POST /orders%2F42",
			[]string{"X-HTTP-Method-Override: DELETE"}, true},
		{"a preflight", httpmw.Except(httpmw.Preflight), "OPTIONS /x", []string{cors, "Access-Control-Request-Method: PUT"}, false},
		{"its headers elsewhere", httpmw.Except(httpmw.Preflight), "PUT /x", []string{cors, "Access-Control-Request-Method: PUT"}, true},
		{"a preflight that is overridden", httpmw.Except(httpmw.Preflight), "OPTIONS /x",
			[]string{cors, "Access-Control-Request-Method: PUT", "X-HTTP-Method-Override: PUT"}, true},
		{"a request that is overridden to a preflight", httpmw.Except(httpmw.Preflight), "PUT /x",
			[]string{cors, "Access-Control-Request-Method: PUT", "X-HTTP-Method-Override: OPTIONS"}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			equal(t, "locked", isLocked(t, parse(t, row.line, row.header...), row.opt), row.locked)
		})
	}
}

// A request is left alone if it is in each of its readings, be it for another
// reason in each.
func TestReadingsAreJudgedOneByOne(t *testing.T) {
	opts := []httpmw.Option{httpmw.Except(httpmw.Methods("GET")), httpmw.Except(httpmw.Methods("HEAD"))}
	r := parse(t, "GET /x", "X-HTTP-Method-Override: HEAD")
	equal(t, "locked", isLocked(t, r, opts...), false)
	equal(t, "method", r.Method, "GET")
}

func isLocked(t *testing.T, r *http.Request, opts ...httpmw.Option) bool {
	t.Helper()
	var at seen
	lock := mustNew(t, locktest.New(), httpmw.Key("x:{request.host}"), opts...)
	lock(look(&at)).ServeHTTP(httptest.NewRecorder(), r)
	return at.locked
}
