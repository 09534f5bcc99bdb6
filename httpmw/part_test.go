package httpmw_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/keys"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

type tenantKey struct{}

func tenantOf(ctx context.Context) string {
	tenant, _ := ctx.Value(tenantKey{}).(string)
	return tenant
}

const urlencoded = "application/x-www-form-urlencoded"

func TestThePartsOfARequestBesidePathHeaderAndQuery(t *testing.T) {
	for _, row := range []struct {
		template string
		method   string // POST if empty
		query    string
		host     string
		tenant   string // in the context
		header   http.Header
		body     string
		key      string
		reason   core.Reason
	}{
		{template: "{cookie.session}", header: http.Header{"Cookie": {"a=1; session=x:y", "b=2"}}, key: "x%3Ay"},
		{template: "{cookie.session}", header: http.Header{"Cookie": {`session="quoted"`}}, key: "quoted"},
		{template: "{cookie.session}", header: http.Header{"Cookie": {"Session=x"}}, reason: core.ReasonKeyMissing},
		{template: "{cookie.session}", header: http.Header{"Cookie": {"session=x; a=1; session=x"}}, reason: core.ReasonKeyInvalid},

		{template: "{context.tenant}", tenant: "acme", key: "acme"},
		{template: "{context.tenant}", reason: core.ReasonKeyMissing},

		{template: "{request.host}", host: "Shop.Example:8443", key: "shop.example"},
		{template: "{request.host}", host: "shop.example.", key: "shop.example"},
		{template: "{request.host}", host: "[2001:DB8::1]:80", key: "2001%3Adb8%3A%3A1"},
		{template: "{request.host}", host: ":80", reason: core.ReasonKeyMissing},
		{template: "{request.method}:{request.route}", key: "POST:/orders/{id}"},

		{template: "{form.id}", body: "a=1&id=x+%3Ay", key: "x %3Ay"},
		{template: "{form.id}", method: http.MethodPatch, body: "id=7", key: "7"},
		{template: "{form.id}:{form.id}", method: http.MethodPut, body: "id=7", key: "7:7"},
		{template: "{form.id}", body: "a=1", reason: core.ReasonKeyMissing},
		{template: "{form.id}", body: "id=", reason: core.ReasonKeyMissing},
		{template: "{form.id}", reason: core.ReasonKeyMissing},
		{template: "{form.id}", body: "id=1&id=1", reason: core.ReasonKeyInvalid},
		{template: "{form.id}", body: "id=1;x=2", reason: core.ReasonKeyInvalid},
		{template: "{form.id}", body: "id=%zz", reason: core.ReasonKeyInvalid},
		// As http.Request.ParseForm has it.
		{template: "{form.id}", query: "?id=7", body: "a=1", key: "7"},
		{template: "{form.id}", query: "?id=7", method: http.MethodGet, key: "7"},
		{template: "{form.id}", query: "?id=7", body: "id=7", reason: core.ReasonKeyInvalid},
		{template: "{form.id}", query: "?%zz", body: "id=7", reason: core.ReasonKeyInvalid},
		{template: "{form.id}", method: http.MethodDelete, body: "id=7", reason: core.ReasonKeyMissing},
		{template: "{form.id}", header: http.Header{"Content-Type": {"multipart/form-data; boundary=b"}}, body: "--b--", reason: httpmw.ReasonBodyUnsupported},
		{template: "{form.id}", header: http.Header{"Content-Type": {"application/json"}}, body: "{}", reason: httpmw.ReasonBodyUnsupported},
		{template: "{form.id}", header: http.Header{"Content-Type": nil}, body: "id=7", reason: httpmw.ReasonBodyUnsupported},
		{template: "{form.id}", header: http.Header{"Content-Type": {urlencoded + "; charset=UTF-8"}}, body: "id=7", key: "7"},

		{template: "{json./id}", body: `{"id": 7}`, key: "7"},
		{template: "{json./id}", method: http.MethodDelete, body: `{"id": 7}`, key: "7"},
		{template: "{json./id}", reason: core.ReasonKeyMissing},

		{template: "{form.id}", header: http.Header{"Content-Encoding": {"gzip"}}, body: "id=7", reason: httpmw.ReasonBodyUnsupported},
		{template: "{json./id}", header: http.Header{"Content-Encoding": {"", "br"}}, body: `{"id": 7}`, reason: httpmw.ReasonBodyUnsupported},
		{template: "{json./id}", body: `{"id": "` + strings.Repeat("x", httpmw.DefaultMaxBuffered) + `"}`, reason: httpmw.ReasonBodyTooLarge},
		{template: "{path.id|int}:{query.x|int}:{query.y|int}", query: "?x=042&y=%2B42", key: "42:42:42"},
		{template: "{query.x|int}", query: "?x=-0", key: "0"},
		{template: "{query.x|int}", query: "?x=9223372036854775808", reason: core.ReasonKeyInvalid},
		{template: "{query.x|int}", query: "?x=4.2", reason: core.ReasonKeyInvalid},
		{template: "{query.x|int}", query: "?x=", reason: core.ReasonKeyMissing},
		{template: "{query.x|uuid}", query: "?x=%7B123E4567-E89B-12D3-A456-426614174000%7D", key: "123e4567-e89b-12d3-a456-426614174000"},
		{template: "{json./id|uuid}", body: `{"id": "123E4567E89B12D3A456426614174000"}`, key: "123e4567-e89b-12d3-a456-426614174000"},
		{template: "{json./id|uuid}", body: `{"id": 7}`, reason: core.ReasonKeyInvalid},
		{template: "{form.id|lower}", body: "id=A-b-%C3%89", key: "a-b-É"},
		{template: "{header.X-Sku|lower}", header: http.Header{"X-Sku": {"AbC"}}, key: "abc"},
		{template: "{cookie.a|lower}", header: http.Header{"Cookie": {"a=X"}}, key: "x"},
		{template: "{context.tenant|lower}", tenant: "ACME", key: "acme"},
		{template: "{request.method|lower}:{query.a||b}", query: "?a%7Cb=7", key: "post:7"},
		// What is cheap comes first.
		{template: "{json./id}:{header.X-Tenant}", body: "not JSON", reason: core.ReasonKeyMissing},
		{template: "{request.method}:{json./a}:{json./b}:{request.host}:{path.id}", host: "h", body: `{"a":1,"b":2}`, key: "POST:1:2:h:42"},
	} {
		t.Run(fmt.Sprintf("%s of %s%s %q %v", row.template, row.method, row.query, row.body[:min(len(row.body), 40)], row.header), func(t *testing.T) {
			if row.method == "" {
				row.method = http.MethodPost
			}
			r := httptest.NewRequest(row.method, "/orders/42"+row.query, strings.NewReader(row.body))
			r.Header.Set("Content-Type", urlencoded)
			for name, values := range row.header {
				r.Header[name] = values
			}
			r.Host = row.host
			r = r.WithContext(context.WithValue(r.Context(), tenantKey{}, row.tenant))
			opts := []httpmw.KeyOption{nil}
			if strings.Contains(row.template, "{context.") {
				opts = append(opts, httpmw.ContextValue("tenant", tenantOf))
			}
			key, reason := keyOf(t, r, httpmw.Key("k:"+row.template, opts...))
			if row.key != "" {
				row.key = "k:" + row.key
			}
			equal(t, "key", key, row.key)
			equal(t, "reason", reason, row.reason)
		})
	}
}

func TestAFormThatIsParsedAlreadyIsUsedAsItIs(t *testing.T) {
	for kind, body := range map[string]string{
		urlencoded:                        "id=7",
		"multipart/form-data; boundary=b": "--b\r\nContent-Disposition: form-data; name=\"id\"\r\n\r\n7\r\n--b--\r\n",
	} {
		r := httptest.NewRequest(http.MethodPost, "/orders/42", strings.NewReader(body))
		r.Header.Set("Content-Type", kind)
		_ = r.FormValue("id") // by a middleware; the body is gone
		key, reason := keyOf(t, r, httpmw.Key("id:{form.id}"))
		equal(t, kind, key+string(reason), "id:7")
	}
	// Without a body the fields are those of the query, parsed or not.
	r := httptest.NewRequest(http.MethodPost, "/orders/42?id=7", http.NoBody)
	_ = r.FormValue("id")
	key, reason := keyOf(t, r, httpmw.Key("id:{form.id}"))
	equal(t, "no body", key+string(reason), "id:7")
}

func TestTemplatesAreCheckedToTheLastByteAtConstruction(t *testing.T) {
	for template, offset := range map[string]int{
		"o:{cookie.a=b}":        2,
		"o{request.url}":        1,
		"o{context.session}":    1,
		"o{json.id}":            7,
		"x:{json./a~2b}":        10,
		"o{json./~}":            8,
		"o{json./a||~}":         11,
		"o{path.id}:{Query.id}": 11,
		"o{body./id}":           1,
	} {
		_, err := httpmw.New(locktest.New(), httpmw.Key(template))
		se, is := errors.AsType[*keys.SyntaxError](err)
		if !is || !errors.Is(err, core.ErrOption) {
			t.Errorf("%q: %v", template, err)
			continue
		}
		equal(t, template+": offset", se.Offset, offset)
	}
	for name, opts := range map[string][]httpmw.KeyOption{
		"that no placeholder names": {httpmw.ContextValue("tenant", tenantOf), httpmw.ContextValue("tenat", tenantOf)},
		"twice":                     {httpmw.ContextValue("tenant", tenantOf), httpmw.ContextValue("tenant", tenantOf)},
		"nil":                       {httpmw.ContextValue("tenant", nil)},
	} {
		if _, err := httpmw.New(locktest.New(), httpmw.Key("tenant:{context.tenant}", opts...)); leaves(err) != 1 {
			t.Errorf("a context value %s: %v", name, err)
		}
	}
}

func FuzzTemplatesAreRefusedWithAPlaceOrWork(f *testing.F) {
	for _, s := range []string{
		"", "x", "o{path.id}", "o{header.X-Tenant}:{cookie.a}", "o{json./a/0/~1}", "o{json.a}", "{json./~", "o{request.host}{request.method}",
		"o{form.a}{query.b|int}", "o{context.tenant}", "o{path.$}", "o{header.Höst}", "{request.}", "o{json./\xff}", "o" + strings.Repeat("{query.a}", 20),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, template string) {
		source := httpmw.Key(template)
		if _, err := httpmw.New(locktest.New(), source); err != nil {
			if se, is := errors.AsType[*keys.SyntaxError](err); !is || !errors.Is(err, core.ErrOption) || se.Template != template ||
				se.Offset < 0 || se.Offset > len(template) || se.Reason == "" {
				t.Fatalf("%q: %#v", template, err)
			}
			return
		}
		key, reason := keyOf(t, httptest.NewRequest(http.MethodPost, "/orders/42?a=1&b=2", strings.NewReader(`{"a":1}`)), source)
		if (key == "") == (reason == "") {
			t.Fatalf("%q: key %q and reason %q", template, key, reason)
		}
	})
}

// Whatever clients send, two requests have one key only if all parts are equal.
func FuzzRequestsWithDifferentPartsHaveDifferentKeys(f *testing.F) {
	f.Add("a:b", "c", "d", "a", "b:c", "d")
	f.Add("1", "2", "3", "1", "2", "3")
	f.Add("%3A", "\xff", "é", ":", "%FF", "e")
	f.Fuzz(func(t *testing.T, a1, b1, c1, a2, b2, c2 string) {
		key := func(a, b, c string) (string, core.Reason) {
			r := httptest.NewRequest(http.MethodPost, "/orders/42", strings.NewReader(url.Values{"p": {c}}.Encode()))
			r.Header.Set("Content-Type", urlencoded)
			r.Header["X-A"] = []string{a}
			r.Header["X-B"] = []string{b}
			return keyOf(t, r, httpmw.Key("k:{header.X-A}{header.X-B}-{form.p}"))
		}
		k1, reason1 := key(a1, b1, c1)
		k2, reason2 := key(a2, b2, c2)
		if reason1 != "" || reason2 != "" {
			return
		}
		if same := a1 == a2 && b1 == b2 && c1 == c2; same != (k1 == k2) {
			t.Fatalf("keys %q and %q", k1, k2)
		}
	})
}
