package httpmw_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/keys"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

// jsonKeyOf returns the key for the value that pointer points to in doc, less its
// beginning.
func jsonKeyOf(t *testing.T, pointer, doc string) (string, core.Reason) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/orders/42", strings.NewReader(doc))
	key, reason := keyOf(t, r, httpmw.Key(jsonTemplate(pointer)))
	return strings.TrimPrefix(key, "j:"), reason
}

// jsonTemplate is the template for one value: a bar in a name is doubled.
func jsonTemplate(pointer string) string {
	return "j:{json." + strings.ReplaceAll(pointer, "|", "||") + "}"
}

func TestAJSONPointerFindsItsValue(t *testing.T) {
	// RFC 6901, section 5, and what else there is.
	const doc = `{"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8,
		"~1": "tilde", "o": {"p": [[], {"q": true}, false]}, "u": "\u00e9\t", "max": 18446744073709551615, "neg": -12,
		"text": "12", "null": null, "empty": "", "Case": "A", "frac": 1.0, "exp": 1e2, "minus": -0, "0": "member"}`
	for pointer, want := range map[string]string{
		"/foo/0": "bar", "/foo/1": "baz", "/": "0", "/a~1b": "1", "/c%d": "2", "/e^f": "3", "/g|h": "4", `/i\j`: "5", `/k"l`: "6", "/ ": "7",
		"/m~0n": "8", "/~01": "tilde", "/o/p/1/q": "true", "/o/p/2": "false", "/u": "é%09", "/max": "18446744073709551615", "/neg": "-12",
		"/0": "member",
		// The same key as the number 12 has: to many handlers they are the same thing.
		"/text": "12",

		"/null": "LOCK_KEY_MISSING", "/empty": "LOCK_KEY_MISSING", "/nowhere": "LOCK_KEY_MISSING", "/foo/2": "LOCK_KEY_MISSING",
		"/foo/-": "LOCK_KEY_MISSING", "/foo/01": "LOCK_KEY_MISSING", "/foo/+1": "LOCK_KEY_MISSING", "/foo/99999999999999999999": "LOCK_KEY_MISSING",
		"/text/0": "LOCK_KEY_MISSING", "/foo/bar": "LOCK_KEY_MISSING",

		"/foo": "LOCK_KEY_INVALID", "/o/p/1": "LOCK_KEY_INVALID", "/frac": "LOCK_KEY_INVALID", "/exp": "LOCK_KEY_INVALID", "/minus": "LOCK_KEY_INVALID",
		"/case": "LOCK_KEY_INVALID", "/Foo/0": "LOCK_KEY_INVALID",
	} {
		key, reason := jsonKeyOf(t, pointer, doc)
		equal(t, pointer, key+string(reason), want)
	}
}

func TestHostileJSONIsRefused(t *testing.T) {
	deep := func(n int) string {
		return `{"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `,"id":7}`
	}
	for name, row := range map[string]struct{ doc, want string }{
		"two members":                      {`{"id":7,"x":1,"id":8}`, "LOCK_KEY_INVALID"},
		"two equal members":                {`{"id":7,"id":7}`, "LOCK_KEY_INVALID"},
		"two, one of them escaped":         {`{"id":7,"\u0069d":8}`, "LOCK_KEY_INVALID"},
		"two to encoding/json":             {`{"id":7,"ID":8}`, "LOCK_KEY_INVALID"},
		"another one to encoding/json":     {`{"ID":7}`, "LOCK_KEY_INVALID"},
		"two to it, in Unicode":            {`{"id":7,"ıd":8,"İd":9}`, "7"}, // not folded
		"the same name elsewhere":          {`{"x":{"id":1,"id":2},"id":7,"y":[{"id":1}]}`, "7"},
		"garbage behind it":                {`{"id":7} {"id":8}`, "LOCK_KEY_INVALID"},
		"an end behind it":                 {`{"id":7}}`, "LOCK_KEY_INVALID"},
		"cut off":                          {`{"id":7,"x":[`, "LOCK_KEY_INVALID"},
		"a comma too much":                 {`{"id":7,}`, "LOCK_KEY_INVALID"},
		"a comment":                        {`{"id":7 /* */}`, "LOCK_KEY_INVALID"},
		"a byte order mark":                {"\ufeff" + `{"id":7}`, "LOCK_KEY_INVALID"},
		"a number that is none":            {`{"id":07}`, "LOCK_KEY_INVALID"},
		"not a number":                     {`{"id":NaN}`, "LOCK_KEY_INVALID"},
		"a number that would be long":      {`{"id":1e999999999}`, "LOCK_KEY_INVALID"},
		"not UTF-8":                        {"{\"id\":\"\xff\"}", "LOCK_KEY_INVALID"},
		"a control character":              {"{\"id\":\"\n\"}", "LOCK_KEY_INVALID"},
		"nothing but space":                {" \n", "LOCK_KEY_INVALID"},
		"no object":                        {`"id"`, "LOCK_KEY_MISSING"},
		"as deep as encoding/json":         {deep(9_999), "7"},
		"deeper":                           {deep(10_000), "LOCK_KEY_INVALID"},
		"deep and open":                    {strings.Repeat("[", httpmw.DefaultMaxBuffered), "LOCK_KEY_INVALID"},
		"as many members as there is room": {`{` + strings.Repeat(`"":0,`, httpmw.DefaultMaxBuffered/5-20) + `"id":7}`, "7"},
	} {
		key, reason := jsonKeyOf(t, "/id", row.doc)
		equal(t, name, key+string(reason), row.want)
	}
}

// valueAt is what a handler finds that decodes doc into an any.
func valueAt(doc any, pointer string) (any, bool) {
	for name := range strings.SplitSeq(pointer[1:], "/") {
		name = strings.ReplaceAll(strings.ReplaceAll(name, "~1", "/"), "~0", "~")
		switch v := doc.(type) {
		case map[string]any:
			var there bool
			if doc, there = v[name]; !there {
				return nil, false
			}
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(v) || strconv.Itoa(i) != name {
				return nil, false
			}
			doc = v[i]
		default:
			return nil, false
		}
	}
	return doc, true
}

func decodeNumbers(doc string, to any) error {
	d := json.NewDecoder(strings.NewReader(doc))
	d.UseNumber()
	return d.Decode(to)
}

// decoded is what a handler finds that decodes doc, which is valid, into a struct.
func decoded(doc string) any {
	var order struct {
		ID any `json:"id"`
	}
	_ = decodeNumbers(doc, &order) // no object: nothing
	return order.ID
}

// A key that is made of JSON is what the handler will find, whether it decodes
// into a map or into a struct.
func FuzzJSONKeysAreWhatTheHandlerWillFind(f *testing.F) {
	for _, doc := range []string{
		`{"id":7}`, `{"id":"7"}`, `{"id":7,"id":8}`, `{"id":7,"ID":8}`, `{"ID":7}`, `{"a":{"b":[1,{"id":true}]}}`, `[[[[`, `{"id":1e1}`, `{"id":-0}`,
		`{"id":null}`, `{"id":"\ud800"}`, "{\"id\":\"\xff\"}", `{"id":7}x`, ``, ` `, `{"id":{}}`, `{"\u0069d":1,"id":2}`, `{"K":1,"K":2}`,
	} {
		f.Add("/id", doc)
		f.Add("/a/b/1/id", doc)
	}
	f.Add("/k", `{"K":1,"k":2}`) // the first one is the Kelvin sign
	f.Fuzz(func(t *testing.T, pointer, doc string) {
		if _, err := httpmw.New(locktest.New(), httpmw.Key(jsonTemplate(pointer))); err != nil {
			if _, is := errors.AsType[*keys.SyntaxError](err); !is {
				t.Fatal(err)
			}
			return
		}
		var tree any
		valid := utf8.ValidString(doc) && json.Valid([]byte(doc)) && decodeNumbers(doc, &tree) == nil
		value, there := valueAt(tree, pointer)
		key, reason := jsonKeyOf(t, pointer, doc)
		switch {
		case len(doc) > httpmw.DefaultMaxBuffered:
			equal(t, "reason", reason, httpmw.ReasonBodyTooLarge)
		case !valid:
			if want := core.ReasonKeyInvalid; reason != want && (doc != "" || reason != core.ReasonKeyMissing) {
				t.Fatalf("%q: key %q, reason %q", doc, key, reason)
			}
		case reason == core.ReasonKeyMissing:
			if there && value != nil && value != "" {
				t.Fatalf("%q at %q: %v is called missing", doc, pointer, value)
			}
			if id := decoded(doc); pointer == "/id" && id != nil && id != "" {
				t.Fatalf("%q at %q: %v is called missing", doc, pointer, id)
			}
		case reason == core.ReasonKeyInvalid:
			// Of the containers and odd numbers it is right. Else there must be a
			// member that is another's, or the wanted one's, to somebody.
			if n, is := value.(json.Number); is && n != "-0" && !strings.ContainsAny(n.String(), ".eE") {
				value = n.String()
			}
			switch value.(type) {
			case string, bool, nil:
			default:
				return
			}
			if n := strings.Count(doc, ":"); n < 1 || there && n < 2 {
				t.Fatalf("%q at %q is called invalid", doc, pointer)
			}
		default:
			equal(t, "key", key, strings.TrimPrefix(keys.Join("j", fmt.Sprint(value)), "j:"))
			if pointer == "/id" {
				equal(t, "key", key, strings.TrimPrefix(keys.Join("j", fmt.Sprint(decoded(doc))), "j:"))
			}
		}
	})
}

func BenchmarkJSONKey(b *testing.B) {
	filler := strings.Repeat(`0,`, (httpmw.DefaultMaxBuffered-100)/2)
	for name, doc := range map[string]string{
		"small":                `{"customer":"acme","items":[{"sku":"x","n":1}],"id":"0197f3c2"}`,
		"64 KiB of an array":   `{"x":[` + filler + `0],"id":"0197f3c2"}`,
		"64 KiB of an array 2": `{"id":["0197f3c2",` + filler + `0]}`,
		"64 KiB of members":    `{` + strings.Repeat(`"":0,`, (httpmw.DefaultMaxBuffered-100)/5) + `"id":"0197f3c2"}`,
	} {
		pointer := "/id"
		if strings.HasSuffix(name, "2") {
			pointer = "/id/0"
		}
		b.Run(name, func(b *testing.B) {
			h := mustNew(b, locktest.New(), httpmw.Key(jsonTemplate(pointer)))(http.HandlerFunc(ok))
			b.ReportAllocs()
			b.SetBytes(int64(len(doc)))
			for b.Loop() {
				h.ServeHTTP(discard{http.Header{}}, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(doc)))
			}
		})
	}
}
