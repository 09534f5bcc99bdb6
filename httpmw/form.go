package httpmw

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"
)

// formValues returns what [http.Request.ParseForm] would put into Form: the fields
// of the query and, for the methods that have one, those of the form in the body.
func (h *bodyHead) formValues() (url.Values, error) {
	r := h.request
	if r.MultipartForm != nil {
		return r.Form, nil // somebody before us has parsed it, with limits of their own
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	switch r.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
	default:
		return values, nil
	}
	if len(r.PostForm) == 0 && (r.Body == nil || r.Body == http.NoBody) {
		return values, nil // whether or not somebody has parsed it: then PostForm is empty, not nil
	}
	declared := r.Header.Get("Content-Type")
	if kind, _, err := mime.ParseMediaType(declared); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, &bodyError{reason: ReasonBodyUnsupported, text: fmt.Sprintf("the body is not a urlencoded form but %q", declared)}
	}
	inBody := r.PostForm // if somebody has parsed it, the body is gone
	if inBody == nil {
		text, err := h.content()
		if err != nil {
			return nil, err
		}
		if inBody, err = url.ParseQuery(string(text)); err != nil {
			return nil, err
		}
	}
	for name, all := range inBody {
		values[name] = append(values[name], all...)
	}
	return values, nil
}
