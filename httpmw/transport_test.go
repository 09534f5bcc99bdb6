package httpmw_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/httpmw"
	"github.com/latchkey-go/latchkey/idgen"
)

// roundTrip is a base that answers by itself.
type roundTrip func(*http.Request) (*http.Response, error)

func (fn roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return fn(r) }

// within is a base that serves requests by h, in memory, as in a synctest bubble
// there are no sockets. Like every base it closes the body.
func within(h http.Handler) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		in := r.Clone(r.Context())
		if in.Body == nil {
			in.Body = http.NoBody
		}
		defer func() { _ = in.Body.Close() }()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, in)
		resp := w.Result()
		resp.Request = r
		return resp, nil
	}
}

func mustTransport(t testing.TB, base http.RoundTripper, opts ...httpmw.TransportOption) http.RoundTripper {
	t.Helper()
	tr, err := httpmw.Transport(base, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// newRequest is a request for order 42 in the test's context.
func newRequest(t *testing.T, url string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/orders/42", body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTransportListsEveryOptionThatIsOutOfRange(t *testing.T) {
	tr, err := httpmw.Transport(nil, httpmw.RetryHeld(-1), nil, httpmw.MaxRetryWait(0), httpmw.OnRetry(nil))
	if tr != nil || !errors.Is(err, core.ErrOption) {
		t.Fatalf("Transport = %v, %v", tr, err)
	}
	for _, want := range []string{"RetryHeld(-1)", "MaxRetryWait(0s)", "OnRetry's function is nil"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	for _, d := range []time.Duration{-1, time.Millisecond - 1, 24*time.Hour + 1} {
		if _, err := httpmw.Transport(nil, httpmw.MaxRetryWait(d)); !errors.Is(err, core.ErrOption) {
			t.Errorf("MaxRetryWait(%v): %v", d, err)
		}
	}
}

func TestARequestCarriesTheIDOfItsContext(t *testing.T) {
	for name, row := range map[string]struct {
		context string
		header  []string
		want    string // "" for one that is generated
	}{
		"none":                                {},
		"in the context":                      {context: "ours", want: "ours"},
		"in the context, not valid":           {context: "a\r\nb"},
		"in the header":                       {header: []string{"mine"}, want: "mine"},
		"in the header, not valid":            {header: []string{"a b"}},
		"in the header, two":                  {header: []string{"a", "b"}},
		"in both, as a proxy's request":       {context: "ours", header: []string{"theirs"}, want: "ours"},
		"in both, that of the header too":     {context: "ours", header: []string{"a", "b"}, want: "ours"},
		"in both, that of the context is bad": {context: "a b", header: []string{"mine"}, want: "mine"},
	} {
		t.Run(name, func(t *testing.T) {
			// A server that trusts its callers adopts it and answers it.
			s := serve(t, httpmw.RequestID(httpmw.TrustRequestID())(http.HandlerFunc(ok)))
			r := newRequest(t, s.URL, nil)
			if row.context != "" {
				r = r.WithContext(idgen.NewContext(r.Context(), row.context))
			}
			if row.header != nil {
				r.Header["X-Request-Id"] = row.header
			}
			before := r.Clone(r.Context())
			resp, err := mustTransport(t, s.Client().Transport).RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			id := resp.Header.Get("X-Request-ID")
			if row.want != "" {
				equal(t, "request ID", id, row.want)
			} else if !idgen.ValidRequestID(id) {
				t.Errorf("request ID %q is not valid", id)
			}
			equal(t, "ID of the response's request", resp.Request.Header.Get("X-Request-ID"), id)
			if !reflect.DeepEqual(r.Header, before.Header) {
				t.Errorf("the caller's request was changed: %v, before %v", r.Header, before.Header)
			}
		})
	}
}

func TestARequestWithoutAHeaderMapIsSent(t *testing.T) {
	s := serve(t, http.HandlerFunc(ok))
	r := newRequest(t, s.URL, nil)
	r.Header = nil
	resp, err := mustTransport(t, s.Client().Transport).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	equal(t, "status", resp.StatusCode, http.StatusOK)
}

func TestWithoutRetryHeldADenialIsTheAnswer(t *testing.T) {
	sent := 0
	base := roundTrip(func(r *http.Request) (*http.Response, error) {
		sent++
		return denial(r, core.ReasonHeld, time.Millisecond), nil
	})
	resp, err := mustTransport(t, base).RoundTrip(newRequest(t, "http://shop.example", nil))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "status", resp.StatusCode, http.StatusConflict)
	equal(t, "attempts", sent, 1)
}

func TestTheBasesErrorIsReturnedAndNothingSentAgain(t *testing.T) {
	broken, sent := errors.New("connection reset"), 0
	base := roundTrip(func(*http.Request) (*http.Response, error) { sent++; return nil, broken })
	_, err := mustTransport(t, base, httpmw.RetryHeld(3)).RoundTrip(newRequest(t, "http://shop.example", nil))
	equal(t, "error", err, broken)
	equal(t, "attempts", sent, 1)
}

func TestAClientClosesTheIdleConnectionsOfTheBase(t *testing.T) {
	base := &idle{RoundTripper: http.DefaultTransport}
	client := &http.Client{Transport: mustTransport(t, base)}
	client.CloseIdleConnections()
	equal(t, "calls", base.closed, 1)
	// A base that has none is no trouble.
	client.Transport = mustTransport(t, roundTrip(nil))
	client.CloseIdleConnections()
}

type idle struct {
	http.RoundTripper
	closed int
}

func (i *idle) CloseIdleConnections() { i.closed++ }
