package httpmw

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/idgen"
	"github.com/latchkey-go/latchkey/internal/retry"
)

// Transport returns a client's side of this package: an [http.RoundTripper]
// that gives each request an ID and, with [RetryHeld], repeats those that were
// denied their lock. It sends through base, http.DefaultTransport if that is
// nil, and is safe for concurrent use. The error matches [core.ErrOption] and
// lists every option that is out of range.
//
// The ID travels in X-Request-ID and is the same on every attempt. It is that
// of the request's context (idgen.FromContext), else the one the header has,
// else a new one; what is not valid (idgen.ValidRequestID) or is there twice is
// replaced. So a proxy that has its own ID in the context does not pass on the
// one that its client chose. The ID stands in the X-Request-ID header of the
// response's Request. [http.Client] makes a request of its own for each
// redirect: they share an ID if the context or the header has one.
//
// The request is not modified and, as every RoundTripper has to, its body is
// closed.
func Transport(base http.RoundTripper, opts ...TransportOption) (http.RoundTripper, error) {
	if base == nil {
		base = http.DefaultTransport
	}
	t := &transport{base: base, policy: retry.New()}
	if isNil(base) {
		t.bad("the RoundTripper is a nil %T", base)
	}
	for _, opt := range opts {
		if opt != nil {
			opt.applyTransport(t)
		}
	}
	if err := errors.Join(t.errs...); err != nil {
		return nil, err
	}
	return t, nil
}

// TransportOption configures [Transport].
type TransportOption interface{ applyTransport(*transport) }

type transportOption func(*transport)

func (o transportOption) applyTransport(to *transport) { o(to) }

type transport struct {
	base    http.RoundTripper
	policy  retry.Policy
	onRetry func(*http.Request, Retry)
	errs    []error
}

var _ http.RoundTripper = (*transport)(nil)

func (t *transport) bad(format string, args ...any) {
	t.errs = append(t.errs, fmt.Errorf("%w: httpmw: "+format, append([]any{core.ErrOption}, args...)...))
}

// RoundTrip sends r, again and again if it is denied and RetryHeld says so.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	id := outboundID(r)
	resp, err := t.send(attempt(r, id))
	if !repeatable(r) || t.policy.Retries() == 0 {
		return resp, err
	}
	for n := 1; err == nil; n++ {
		refused, ok := readRefusal(resp)
		if !ok {
			break
		}
		wait, ok := t.policy.Wait(r.Context(), n, refused.after)
		if !ok {
			break
		}
		again := attempt(r, id)
		if hasBody(r) {
			// Before the wait, which a body that fails would make pointless.
			if again.Body, err = r.GetBody(); err != nil {
				return resp, nil // the denial, which is whole, tells more than the error
			}
		}
		if t.onRetry != nil {
			t.onRetry(r, Retry{
				Attempt: n, Reason: refused.reason, Status: resp.StatusCode, Wait: wait, RequestID: id,
			})
		}
		if err := retry.Sleep(r.Context(), wait); err != nil {
			if again.Body != nil {
				_ = again.Body.Close()
			}
			return nil, err
		}
		resp, err = t.send(again)
	}
	return resp, err
}

// send sends r through the base. What a base must not answer, it answers as
// [http.Client] does: to that one this transport is the RoundTripper, and the
// error would name the wrong one.
func (t *transport) send(r *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(r)
	switch {
	case err != nil:
		return nil, err
	case resp == nil:
		return nil, fmt.Errorf("http: RoundTripper implementation (%T) returned a nil *Response with a nil error", t.base)
	case resp.Body != nil:
	case resp.ContentLength > 0 && r.Method != http.MethodHead:
		return nil, fmt.Errorf("http: RoundTripper implementation (%T) returned a *Response with content length %d but a nil Body", t.base, resp.ContentLength)
	default:
		resp.Body = http.NoBody
	}
	return resp, nil
}

// CloseIdleConnections is what [http.Client.CloseIdleConnections] looks for.
func (t *transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// attempt is a request to send in place of r, which is the caller's.
func attempt(r *http.Request, id string) *http.Request {
	c := r.WithContext(r.Context())
	c.Header = r.Header.Clone()
	if c.Header == nil {
		c.Header = http.Header{}
	}
	c.Header.Set(RequestIDHeader, id)
	return c
}

// repeatable tells whether r's body, if there is one, can be sent once more.
func repeatable(r *http.Request) bool { return !hasBody(r) || r.GetBody != nil }

func hasBody(r *http.Request) bool { return r.Body != nil && r.Body != http.NoBody }

func outboundID(r *http.Request) string {
	if id, ok := idgen.FromContext(r.Context()); ok && idgen.ValidRequestID(id) {
		return id
	}
	if id, err := only(r.Header.Values(RequestIDHeader)); err == nil && idgen.ValidRequestID(id) {
		return id
	}
	return idgen.NewRequestID()
}
