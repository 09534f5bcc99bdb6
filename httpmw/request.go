package httpmw

import (
	"context"
	"io"
	"net/http"
	"reflect"
	"strings"
)

// copyRequest returns a copy of r with ctx and, unless it is nil, body.
func copyRequest(ctx context.Context, r *http.Request, body io.ReadCloser) *http.Request {
	c := r.WithContext(ctx)
	if body != nil {
		c.Body = body
	}
	return c
}

// serveCopy serves a copy of r with ctx and body.
//
// What next finds out about the request is put back on r, panic or not: else
// telemetry around a mux would see no route (http.route), and net/http, which
// removes the temporary files of the request that it has made, would leave those
// of the copy's multipart form behind.
func serveCopy(ctx context.Context, next http.Handler, w http.ResponseWriter, r *http.Request, body io.ReadCloser) {
	inner := copyRequest(ctx, r, body)
	// Only what has changed is written: somebody may be reading the rest.
	defer func() {
		if inner.MultipartForm != r.MultipartForm {
			r.MultipartForm = inner.MultipartForm
		}
		if inner.Pattern != r.Pattern {
			r.Pattern = inner.Pattern
			copyPathValues(r, inner)
		}
	}()
	next.ServeHTTP(w, inner)
}

// copyPathValues gives to the values of the wildcards in from's pattern.
func copyPathValues(to, from *http.Request) {
	for rest := from.Pattern; ; {
		_, after, found := strings.Cut(rest, "{")
		if !found {
			return
		}
		var name string
		name, rest, _ = strings.Cut(after, "}")
		if name = strings.TrimSuffix(name, "..."); name != "$" {
			copyPathValue(to, from, name)
		}
	}
}

// copyPathValue copies nothing if net/http has no place for the value: see boundValue.
func copyPathValue(to, from *http.Request, name string) {
	defer func() { _ = recover() }()
	to.SetPathValue(name, from.PathValue(name))
}

// mustHandler panics like http.ServeMux does: at the wiring, not at a request.
func mustHandler(h http.Handler) {
	if h == nil || isNil(h) {
		panic("httpmw: nil handler")
	}
}

// isNil reports whether v, which is to be called later, is a nil pointer or function.
func isNil(v any) bool {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Func:
		return r.IsNil()
	}
	return false
}
