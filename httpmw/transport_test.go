package httpmw_test

import (
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/httpmw"
	"github.com/latchkey-go/latchkey/idgen"
)

func mustTransport(t testing.TB, base http.RoundTripper, opts ...httpmw.TransportOption) http.RoundTripper {
	t.Helper()
	tr, err := httpmw.Transport(base, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// outbound is a client's request for order 42, in the test's context.
func outbound(t *testing.T, url string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/orders/42", body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTransportListsEveryOptionThatIsOutOfRange(t *testing.T) {
	tr, err := httpmw.Transport(nil, httpmw.RetryHeld(-1), httpmw.RetryHeld(1001), nil,
		httpmw.MaxRetryWait(time.Millisecond-1), httpmw.MaxRetryWait(24*time.Hour+1), httpmw.OnRetry(nil))
	if tr != nil || !errors.Is(err, core.ErrOption) {
		t.Fatalf("Transport = %v, %v", tr, err)
	}
	for _, want := range []string{
		"RetryHeld(-1)", "RetryHeld(1001)", "MaxRetryWait(999.999µs)", "MaxRetryWait(24h0m0.000000001s)", "OnRetry's function is nil",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
}

type baseFunc func(*http.Request) (*http.Response, error)

func (f baseFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestTransportRefusesANilBase(t *testing.T) {
	for want, base := range map[string]http.RoundTripper{"nil *http.Transport": (*http.Transport)(nil), "nil httpmw_test.baseFunc": baseFunc(nil)} {
		tr, err := httpmw.Transport(base)
		if tr != nil || !errors.Is(err, core.ErrOption) || !strings.Contains(err.Error(), want) {
			t.Errorf("Transport = %v, %v", tr, err)
		}
	}
}

func TestARequestCarriesTheIDOfItsContext(t *testing.T) {
	// A server that trusts its callers adopts it and answers it.
	s := serve(t, httpmw.RequestID(httpmw.TrustRequestID())(http.HandlerFunc(ok)))
	tr := mustTransport(t, s.Client().Transport)
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
		"in both, that of the context is bad": {context: "a b", header: []string{"mine"}, want: "mine"},
	} {
		t.Run(name, func(t *testing.T) {
			r := outbound(t, s.URL, nil)
			r.Header = nil // which a client's request may have
			if row.context != "" {
				r = r.WithContext(idgen.NewContext(r.Context(), row.context))
			}
			if row.header != nil {
				r.Header = http.Header{"X-Request-Id": row.header}
			}
			before := r.Clone(r.Context())
			resp, err := tr.RoundTrip(r)
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

// A client makes a request of its own for each redirect.
func TestRedirectedRequestsShareTheIDOfTheirContextOrHeader(t *testing.T) {
	var ids []string
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ids = append(ids, r.Header.Get("X-Request-ID"))
		if r.URL.Path == "/orders/42" {
			http.Redirect(w, r, "/orders/43", http.StatusTemporaryRedirect)
		}
	}))
	client := &http.Client{Transport: mustTransport(t, s.Client().Transport)}
	for name, row := range map[string]struct {
		context, header string
		shared          bool
	}{
		"none":           {},
		"in the context": {context: "ours", shared: true},
		"in the header":  {header: "mine", shared: true},
	} {
		ids = nil
		r := outbound(t, s.URL, nil)
		if row.context != "" {
			r = r.WithContext(idgen.NewContext(r.Context(), row.context))
		}
		if row.header != "" {
			r.Header.Set("X-Request-ID", row.header)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		equal(t, "last ID, "+name, resp.Request.Header.Get("X-Request-ID"), ids[len(ids)-1])
		if len(ids) != 2 || !idgen.ValidRequestID(ids[0]) || (ids[0] == ids[1]) != row.shared {
			t.Errorf("%s: IDs %q; shared is %v", name, ids, row.shared)
		}
	}
}

func TestAClientClosesTheIdleConnectionsOfTheBase(t *testing.T) {
	base := &idle{RoundTripper: http.DefaultTransport}
	client := &http.Client{Transport: mustTransport(t, base)}
	client.CloseIdleConnections()
	equal(t, "calls", base.closed, 1)
	// A base that has none is no trouble.
	client.Transport = mustTransport(t, &scripted{})
	client.CloseIdleConnections()
}

type idle struct {
	http.RoundTripper
	closed int
}

func (i *idle) CloseIdleConnections() { i.closed++ }

// What a RoundTripper must not answer ends as it does in an http.Client, on the
// first attempt and on a later one.
func TestABaseThatAnswersNothingIsAnError(t *testing.T) {
	broken := errors.New("connection reset")
	for name, c := range map[string]struct {
		resp *http.Response
		err  error
		want string // of the error
	}{
		"no response, no error": {nil, nil, "http: RoundTripper implementation (*httpmw_test.scripted) returned a nil *Response with a nil error"},
		"a length without a body": {
			&http.Response{StatusCode: http.StatusOK, ContentLength: 5}, nil,
			"http: RoundTripper implementation (*httpmw_test.scripted) returned a *Response with content length 5 but a nil Body",
		},
		"a response and an error": {&http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, broken, "connection reset"},
		"no body":                 {&http.Response{StatusCode: http.StatusConflict}, nil, ""},
		"nothing but zeros":       {&http.Response{}, nil, ""},
	} {
		for _, retries := range []int{0, 3} {
			for _, denials := range []int{0, 1} {
				if denials > retries {
					continue
				}
				bubble(t, func(t *testing.T) {
					base := denying(core.ReasonHeld, time.Second)
					denial := base.answer
					base.answer = func(r *http.Request) (*http.Response, error) {
						if len(base.sent) <= denials {
							return denial(r)
						}
						return c.resp, c.err
					}
					resp, err := mustTransport(t, base, httpmw.RetryHeld(retries)).RoundTrip(outbound(t, "http://h", strings.NewReader("two")))
					equal(t, name+": attempts", len(base.sent), denials+1)
					if c.want != "" {
						if resp != nil || err == nil || err.Error() != c.want {
							t.Errorf("%s: %v, %v", name, resp, err)
						}
						return
					}
					if err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					body, err := io.ReadAll(resp.Body)
					equal(t, name+": error", errors.Join(err, resp.Body.Close()), nil)
					equal(t, name+": body", string(body), "")
				})
			}
		}
	}
}
