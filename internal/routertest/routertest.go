// Package routertest holds locks under a router against what the router's handlers
// see: whatever a client writes, one value has one key and two have two, and what
// reaches a locked handler has a lock. It knows no router, so that each can be tested
// in the module that has it.
package routertest

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

type Middleware = func(http.Handler) http.Handler

// visit is a request that has reached a handler.
type visit struct {
	target string
	route  string
	values []string
	key    string // "" without a lock
}

type visitKey struct{}

// Saw is for handlers to say that r has reached the one of route, with these
// path values, decoded.
func Saw(r *http.Request, route string, values ...string) {
	v := r.Context().Value(visitKey{}).(*visit)
	v.route, v.values = route, values
	if held, ok := core.FromContext(r.Context()); ok {
		v.key = held.Key()
	}
}

// Decoded is for handlers whose router hands out values as the client wrote them,
// if raw says so.
func Decoded(raw bool, value string) string {
	if !raw {
		return value
	}
	decoded, err := url.PathUnescape(value)
	if err != nil {
		return "half an escape: " + value // has no value, and must have no key
	}
	return decoded
}

// Lock returns the lock of a route that is not below /healthz.
func Lock(template string) Middleware {
	return newLock(httpmw.Key(template), httpmw.Except(httpmw.PathPrefix("/healthz")), httpmw.Except(httpmw.Patterns("/healthz/")))
}

func newLock(key httpmw.KeySource, opts ...httpmw.Option) Middleware {
	lock, err := httpmw.New(locktest.New(), key, append(opts, httpmw.Wait(0))...)
	if err != nil {
		panic(err)
	}
	return lock
}

// send returns nil if no server takes such a request, or no handler is reached.
func send(router http.Handler, method, target string) *visit {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: shop.example\r\n\r\n")))
	if err != nil {
		return nil
	}
	v := &visit{target: target}
	router.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithValue(r.Context(), visitKey{}, v)))
	if v.route == "" {
		return nil
	}
	return v
}

// words are what [Target] puts for the bytes that no target can hold.
var words = [...]string{
	"/", "%2F", "%2f", "//", "/..", "/.", "%2e", "%25", "%252F", "%2525", "%32", "%3", "%61", "%00", "+", ";",
	"/orders", "/items", "/files", "/healthz", "/shop", "/parts", "/mounted/items", "/stripped", "/tails", "/below/a%2Fb",
	"/42", "4%32", "(", "..%2F", "-%2525.json", "/%2e%2e",
}

// Target returns a target for a text that a fuzzer has made: each control character
// is a word in which routers differ.
func Target(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; int(c) < len(words) {
			b.WriteString(words[c])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Keys sends requests for the targets, and for the same and similar ones in other
// spellings, to a router whose routes are each under a Lock. Of those that reach
// one handler, the keys must be the same if the values are, and only then.
func Keys(tb testing.TB, name string, router http.Handler, targets ...string) {
	tb.Helper()
	var visits []*visit
	for _, target := range targets {
		for _, spelling := range spellings(target) {
			v := send(router, http.MethodPut, spelling)
			if v == nil || !notHealth(v.route) {
				continue
			}
			if v.key == "" {
				tb.Errorf("%s: %s reached %s without its lock", name, v.target, v.route)
			}
			for _, w := range visits {
				if v.route == w.route && slices.Equal(v.values, w.values) != (v.key == w.key) {
					tb.Errorf("%s, %s: %s has the values %q and the key %s,\n%s the values %q and the key %s",
						name, v.route, v.target, v.values, v.key, w.target, w.values, w.key)
				}
			}
			visits = append(visits, v)
		}
	}
}

// spellings returns target and others: the same path with fewest and with most
// escapes, and paths that one more or one less decoding would take for it.
func spellings(target string) []string {
	each := func(change func(string) string) string {
		segments := strings.Split(target, "/")
		for i, segment := range segments {
			segments[i] = change(segment)
		}
		return strings.Join(segments, "/")
	}
	decoded := func(s string) string {
		if d, err := url.PathUnescape(s); err == nil {
			return d
		}
		return s
	}
	all := []string{
		target,
		each(func(s string) string { return url.PathEscape(decoded(s)) }),
		each(func(s string) string { return escapeValue(decoded(s), 0) }),
		each(func(s string) string { return escapeValue(decoded(s), 1) }),
		strings.ReplaceAll(target, "%", "%25"),
		strings.ReplaceAll(target, "%25", "%"),
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// escapeValue escapes every other byte, from the one at first on, but leaves words
// alone: those of routes stay as they are.
func escapeValue(s string, first int) string {
	if s == "" || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") == "" {
		return s
	}
	const hex = "0123456789abcdef"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; i%2 == first || c == '%' || c == '/' || c <= ' ' || c >= 0x7f || c == '?' || c == '#' {
			b.WriteString("%" + string(hex[c>>4]) + string(hex[c&15]))
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Whole is a router in locks around it, by what they leave alone.
type Whole []whole

type whole struct {
	name   string
	router http.Handler
	locked func(route string) bool // reports whether all requests to the route have to be
}

// Around returns router, which has no locks itself, in locks that leave something
// alone: routes whose names begin with /healthz, or all but those whose names begin
// with /orders/. The patterns are those of a ServeMux that has the latter.
func Around(router http.Handler, patterns ...string) Whole {
	return Whole{
		around(router, "Except a prefix", notHealth, httpmw.Except(httpmw.PathPrefix("/healthz"))),
		around(router, "Except patterns", notHealth, httpmw.Except(httpmw.Patterns("/healthz/", "GET /healthz"))),
		around(router, "Only a prefix", isOrder, httpmw.Only(httpmw.PathPrefix("/orders"))),
		around(router, "Only patterns", isOrder, httpmw.Only(httpmw.Patterns(patterns...))),
		around(router, "Only and Except", notHealth, httpmw.Only(httpmw.PathPrefix("/")), httpmw.Except(httpmw.PathPrefix("/healthz"))),
	}
}

func around(router http.Handler, name string, locked func(string) bool, opts ...httpmw.Option) whole {
	lock := newLock(httpmw.KeyFunc(func(*http.Request) (string, error) { return "all", nil }), opts...)
	return whole{name, lock(router), locked}
}

func notHealth(route string) bool { return !strings.HasPrefix(route, "/healthz") }
func isOrder(route string) bool   { return strings.HasPrefix(route, "/orders/") }

// Locked sends requests for the targets, in several spellings, and checks that each
// that reaches a locked handler has a lock.
func (whole Whole) Locked(tb testing.TB, name string, targets ...string) {
	tb.Helper()
	for _, target := range targets {
		for _, spelling := range spellings(target) {
			method := http.MethodPut
			if spelling == target && (strings.Contains(target, "/.") || strings.Contains(target, "//")) {
				method = http.MethodConnect // http.ServeMux does not clean the path then
			}
			for _, w := range whole {
				v := send(w.router, method, spelling)
				if v != nil && v.key == "" && w.locked(v.route) {
					tb.Errorf("%s around %s: %s %s reached %s without its lock", w.name, name, method, v.target, v.route)
				}
			}
		}
	}
}

// Seeds are targets with which something was wrong once, or might be.
var Seeds = [][2]string{
	{"/orders/42", "/orders/4%32"},
	{"/orders/a%2Fb", "/orders/a%252Fb"},
	{"/orders/%2525", "/orders/%25%32%35"},
	{"/orders/a%2Fb/items/a%252Fb", "/orders/a%252Fb/items/a%2Fb"},
	{"/orders/4%32/items/4%2532", "/orders/4%2532/items/4%32"},
	{"/orders/42/files/a/b", "/orders/42/files/a%2Fb"},
	{"/orders/42/files//4%32", "/orders/42/files/4%32"},
	{"/orders/42/files/", "/orders/42/files"},
	{"/orders/a+b", "/orders/a%20b"},
	{"/orders/%2B%2525(", "/orders/+%2525("},
	{"/shop/7%2F/items/4%32", "/shop/7%252F/items/4%2532"},
	{"/parts/4%32-%25%32%35.json", "/parts/42-%2525.json"},
	{"/parts/b%2F.json", "/parts/b%252F.json"},
	{"/orders/42/files/..%2F..%2F..%2Fhealthz", "/orders/42/files/../../../healthz"},
	{"/orders/42/files/%2e%2e/%2e%2e/%2e%2e/healthz", "/healthz/../orders/42"},
	{"/healthz%2F..%2Forders%2F42", "/healthz/%2e%2e/orders/42"},
	{"/%68ealthz", "/healthz%2Fx"},
	{"//healthz//orders", "//orders//42"},
	{"/orders%2F42", "/%6frders/42"},
	{"http://shop.example/healthz/../orders/42", "http://healthz/orders/42"},
	{"/healthz;/../orders/42", "/orders;x/42"},
	{"/orders/42/", "/orders/"},
	{"/orders//+/files/.", "/orders/42/files/7/.."},
	{"*", "http://shop.example"},
}
