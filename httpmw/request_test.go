package httpmw_test

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"testing"

	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

// Telemetry stands around everything and asks the request that it has for the
// route, after the fact.
func TestOuterMiddlewareSeesWhatTheMuxFound(t *testing.T) {
	lock := mustNew(t, locktest.New(), httpmw.Key(template), httpmw.Name("orders"))
	h := func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") == "panic" {
			panic(http.ErrAbortHandler)
		}
	}
	inner := http.NewServeMux()
	inner.HandleFunc("/orders/{id}", h)
	inner.HandleFunc("/orders/{id}/{$}", h)
	inner.HandleFunc("/orders/{id}/files/{rest...}", h)
	skipping := mustNew(t, locktest.New(), httpmw.Key("none:{header.X-None}"), httpmw.OnMissing(httpmw.Skip))

	for name, middleware := range map[string]func(http.Handler) http.Handler{
		"request ID": httpmw.RequestID(),
		"skipped":    skipping,
		// A lock around a whole mux, its key from a header.
		"locked": mustNew(t, locktest.New(), httpmw.Key("agent:{header.User-Agent}"), httpmw.Name("all")),
		"all":    func(next http.Handler) http.Handler { return httpmw.RequestID()(skipping(next)) },
	} {
		for path, want := range map[string]struct{ pattern, id, rest string }{
			"/orders/42":           {"/orders/{id}", "42", ""},
			"/orders/42/":          {"/orders/{id}/{$}", "42", ""},
			"/orders/42/files/a/b": {"/orders/{id}/files/{rest...}", "42", "a/b"},
			"/orders/panic":        {"/orders/{id}", "panic", ""},
			"/nowhere":             {},
		} {
			t.Run(name+" "+path, func(t *testing.T) {
				got := make(chan [3]string, 1)
				wrapped := middleware(inner)
				s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer func() { got <- [3]string{r.Pattern, r.PathValue("id"), r.PathValue("rest")} }()
					wrapped.ServeHTTP(w, r)
				}))
				// A client would try a request again whose connection was closed.
				exchange(t, s, "GET "+path+" HTTP/1.1\nHost: h\nUser-Agent: u\n\n")
				equal(t, "route", receive(t, got), [3]string{want.pattern, want.id, want.rest})
			})
		}
	}

	t.Run("inside the mux", func(t *testing.T) {
		got := make(chan [2]string, 1)
		mux := orders(lock(http.HandlerFunc(ok)))
		s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mux.ServeHTTP(w, r)
			got <- [2]string{r.Pattern, r.PathValue("id")}
		}))
		put(t, s, "/orders/42")
		equal(t, "route", receive(t, got), [2]string{pattern, "42"})
	})
}

// net/http removes the temporary files of the form on its own request only.
func TestTheServerFindsTheFormThatItMustCleanUp(t *testing.T) {
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	file, err := w.CreateFormFile("f", "f.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(file, "content")
	_ = w.Close()

	lock := mustNew(t, locktest.New(), httpmw.Key(template))
	parsed := httpmw.RequestID()(orders(lock(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1); err != nil {
			t.Error(err)
		}
	}))))
	found := make(chan bool, 1)
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parsed.ServeHTTP(w, r)
		found <- r.MultipartForm != nil && len(r.MultipartForm.File["f"]) == 1
	}))
	resp, err := s.Client().Post(s.URL+"/orders/42", w.FormDataContentType(), &form)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if !receive(t, found) {
		t.Error("the form is not on the server's request")
	}
}
