package httpmw

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"

	"github.com/latchkey-go/latchkey/core"
)

// formValues returns what [http.Request.ParseForm] would find in the body, and
// nothing if it would not look there or there is no body.
func (h *bodyHead) formValues() (url.Values, error) {
	r := h.request
	switch r.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
	default:
		return nil, nil
	}
	if r.MultipartForm != nil {
		return r.PostForm, nil // somebody before us has parsed it, with limits of their own
	}
	if r.PostForm == nil && (r.Body == nil || r.Body == http.NoBody) {
		return nil, nil
	}
	declared := r.Header.Get("Content-Type")
	if kind, _, err := mime.ParseMediaType(declared); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, &bodyError{reason: ReasonBodyUnsupported, text: fmt.Sprintf("the body is not a urlencoded form but %q", declared)}
	}
	if r.PostForm != nil {
		return r.PostForm, nil // and the body is gone
	}
	text, err := h.content()
	if err != nil {
		return nil, err
	}
	values, err := url.ParseQuery(string(text))
	if err != nil {
		return nil, fmt.Errorf("%w: the form cannot be parsed: %w", core.ErrKey, err)
	}
	return values, nil
}
