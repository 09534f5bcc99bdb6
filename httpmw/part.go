package httpmw

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/latchkey-go/latchkey/core/keys"
)

// The sources of placeholders.
const (
	sourcePath    = "path"
	sourceHeader  = "header"
	sourceQuery   = "query"
	sourceCookie  = "cookie"
	sourceForm    = "form"
	sourceJSON    = "json"
	sourceContext = "context"
	sourceRequest = "request"
)

// The names that the source request has.
const (
	requestHost   = "host"
	requestMethod = "method"
	requestRoute  = "route"
)

// part is a placeholder that New has found to be in order.
type part struct {
	keys.Ref
	pointer jsonPointer                  // of sourceJSON
	from    func(context.Context) string // of sourceContext
}

func (p *part) inBody() bool { return p.Source == sourceForm || p.Source == sourceJSON }

// newPart returns the part that ref stands for, or what is wrong with it and how
// many bytes behind its beginning. It brings a header's name into the form in
// which net/http stores it.
func newPart(ref keys.Ref, values *contextValues) (p part, offset int, reason string) {
	p.Ref = ref
	switch ref.Source {
	case sourcePath:
		if strings.HasSuffix(ref.Name, "...") || ref.Name == "$" {
			reason = "not the name of a path wildcard: that of {rest...} is rest, and {$} has none"
		}
	case sourceHeader:
		p.Name = textproto.CanonicalMIMEHeaderKey(ref.Name)
		switch {
		case strings.ContainsFunc(ref.Name, notInToken):
			reason = "not a header name"
		case p.Name == "Host":
			reason = "net/http keeps the Host header out of Request.Header: use {request.host}"
		}
	case sourceCookie:
		if strings.ContainsFunc(ref.Name, notInToken) {
			reason = "not a cookie name"
		}
	case sourceJSON:
		if p.pointer, offset, reason = parseJSONPointer(ref.Name); reason != "" {
			offset += strings.Count(ref.Name[:offset], "|") // each is written twice
			offset += len("{" + sourceJSON + ".")
		}
	case sourceContext:
		if p.from = values.use(ref.Name); p.from == nil {
			reason = fmt.Sprintf("unknown context value %q: Key needs the option ContextValue for it", ref.Name)
		}
	case sourceRequest:
		switch ref.Name {
		case requestHost, requestMethod, requestRoute:
		default:
			reason = fmt.Sprintf("unknown name %q: of a request there are host, method and route", ref.Name)
		}
		if ref.Form == keys.Int || ref.Form == keys.UUID {
			reason = fmt.Sprintf("no request has a %s of the form %s", ref.Name, ref.Form)
		}
	case sourceQuery, sourceForm:
	default:
		reason = fmt.Sprintf("unknown source %q: there are path, header, query, cookie, form, json, context and request", ref.Source)
	}
	return p, offset, reason
}

// reading is one request whose parts are being read. What is parsed for one part
// is kept for the next.
type reading struct {
	request     *http.Request
	body        *bodyHead
	query, form url.Values
}

// value returns the part's text in its form, "" if it is missing.
func (in *reading) value(p *part) (string, error) {
	value, err := in.raw(p)
	if err != nil || value == "" {
		return "", err
	}
	return p.Form.Canonical(value)
}

// raw returns the part's text as it is in the request, "" if it is missing.
func (in *reading) raw(p *part) (value string, err error) {
	r := in.request
	switch p.Source {
	case sourcePath:
		return PathValue(r, p.Name)
	case sourceHeader:
		return only(r.Header[p.Name])
	case sourceQuery:
		if in.query == nil {
			if in.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
				return "", err
			}
		}
		return only(in.query[p.Name])
	case sourceCookie:
		switch cookies := r.CookiesNamed(p.Name); len(cookies) {
		case 0:
			return "", nil
		case 1:
			return cookies[0].Value, nil
		}
		return "", errRepeated
	case sourceForm:
		if in.form == nil {
			if in.form, err = in.body.formValues(); err != nil {
				return "", err
			}
		}
		return only(in.form[p.Name])
	case sourceJSON:
		doc, err := in.body.content()
		if err != nil || len(doc) == 0 {
			return "", err
		}
		return p.pointer.find(doc)
	case sourceContext:
		return p.from(r.Context()), nil
	}
	switch p.Name {
	case requestHost:
		return hostname(r.Host), nil
	case requestMethod:
		return r.Method, nil
	}
	return r.Pattern, nil
}

// hostname returns host such that all ways to write it are one: in lower case,
// without a port and the dot at the end.
func hostname(host string) string {
	u := url.URL{Host: host}
	return strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
}

var errRepeated = errors.New("httpmw: more than one value")

// only returns the value that is there once, or "".
func only(values []string) (string, error) {
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", errRepeated
}
