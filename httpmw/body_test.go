package httpmw_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

// body is what a handler got to read.
type body struct {
	text string
	err  error
}

// readBody answers with nothing and tells what it has read.
func readBody(got chan<- body) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		got <- body{string(b), errors.Join(err, r.Body.Close())}
	})
}

func TestTheHandlerReadsTheWholeBody(t *testing.T) {
	for name, row := range map[string]struct {
		size    int
		chunked bool
	}{
		"none":              {size: 0},
		"one byte":          {size: 1},
		"just under 64 KiB": {size: 64<<10 - 1},
		"64 KiB":            {size: 64 << 10},
		"just over 64 KiB":  {size: 64<<10 + 1},
		"1 MiB":             {size: 1 << 20},
		"chunked":           {size: 1000, chunked: true},
	} {
		for wait, opts := range map[string][]httpmw.Option{"waiting": nil, "not waiting": {httpmw.Wait(0)}} {
			t.Run(name+", "+wait, func(t *testing.T) {
				want := strings.Repeat("abcdefg", row.size/7+1)[:row.size]
				var sent io.Reader = strings.NewReader(want)
				if row.chunked {
					sent = io.MultiReader(sent) // hides the length
				}
				got := make(chan body, 1)
				lock := mustNew(t, locktest.New(), httpmw.Key(template), opts...)
				s := serve(t, orders(lock(readBody(got))))
				if status, _, err := send(s, http.MethodPost, "/orders/42", sent); status != 200 {
					t.Fatal(status, err)
				}
				b := receive(t, got)
				if b.text != want || b.err != nil {
					t.Errorf("read %d bytes of %d, %v", len(b.text), len(want), b.err)
				}
			})
		}
	}
}

func TestTheHandlerMeetsTheErrorsOfABodyThatWasReadAhead(t *testing.T) {
	// Such as an outer limit's.
	got := make(chan body, 1)
	lock := mustNew(t, locktest.New(), httpmw.Key(template))
	s := serve(t, http.MaxBytesHandler(orders(lock(readBody(got))), 5))
	if _, _, err := send(s, http.MethodPost, "/orders/42", strings.NewReader("0123456789")); err != nil {
		t.Fatal(err)
	}
	b := receive(t, got)
	equal(t, "text", b.text, "01234")
	if _, is := errors.AsType[*http.MaxBytesError](b.err); !is {
		t.Errorf("error %v", b.err)
	}
}

func TestAClientThatGoesAwayInTheMiddleOfItsBodyIsNotWaitedFor(t *testing.T) {
	fake := locktest.New()
	fake.Hold(key42)
	denials := make(chan core.Reason, 1)
	lock := mustNew(t, fake, httpmw.Key(template), httpmw.Wait(2*patience),
		httpmw.OnDeny(func(_ http.ResponseWriter, _ *http.Request, d *core.Denial) { denials <- d.Reason }))
	s := serve(t, orders(lock(http.HandlerFunc(ok))))
	_ = dial(t, s, "POST /orders/42 HTTP/1.1\nHost: h\nContent-Length: 10\n\n0123").Close()
	equal(t, "reason", receive(t, denials), core.ReasonCanceled)
}

func TestABodyThatAMiddlewareUnpacksIsNotBufferedWithoutBound(t *testing.T) {
	unpacked := bytes.Repeat([]byte("z"), 300<<10)
	got := make(chan body, 1)
	lock := mustNew(t, locktest.New(), httpmw.Key(template))
	read := &counter{r: bytes.NewReader(unpacked)}
	mux := orders(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = io.NopCloser(read) // and leaves Content-Length as it was
		lock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if read.n > 64<<10+1 { // one more tells that there is more
				t.Errorf("%d bytes were read ahead", read.n)
			}
			readBody(got).ServeHTTP(w, r)
		})).ServeHTTP(w, r)
	}))
	if _, _, err := send(serve(t, mux), http.MethodPost, "/orders/42", strings.NewReader("packed")); err != nil {
		t.Fatal(err)
	}
	if b := receive(t, got); b.text != string(unpacked) || b.err != nil {
		t.Errorf("read %d bytes of %d, %v", len(b.text), len(unpacked), b.err)
	}
}

func TestBodiesAreReadBeforeTheLock(t *testing.T) {
	for name, row := range map[string]struct {
		opts []httpmw.Option
		want int
	}{
		"by default":                   {nil, 4},
		"without a wait":               {[]httpmw.Option{httpmw.Wait(0)}, 4},
		"the first part of a long one": {[]httpmw.Option{httpmw.MaxBuffered(2)}, 3}, // one more tells that there is more
		"Unbuffered":                   {[]httpmw.Option{httpmw.Unbuffered()}, 0},
		"in shadow":                    {[]httpmw.Option{httpmw.Shadow()}, 0},
		"in shadow, RequireBuffered":   {[]httpmw.Option{httpmw.Shadow(), httpmw.RequireBuffered()}, 4},
	} {
		for _, length := range []int64{4, -1} {
			for version := 1; version <= 3; version++ {
				read := &counter{r: strings.NewReader("body")}
				ahead := -1
				lock := mustNew(t, locktest.New(), httpmw.Key(template), row.opts...)
				r := httptest.NewRequest(http.MethodPut, "/orders/42", io.NopCloser(read))
				r.ContentLength, r.ProtoMajor = length, version
				orders(lock(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					ahead = read.n
					if text, err := io.ReadAll(r.Body); string(text) != "body" || err != nil {
						t.Errorf("%s: the handler read %q, %v", name, text, err)
					}
				}))).ServeHTTP(httptest.NewRecorder(), r)
				equal(t, fmt.Sprintf("%s: bytes that were read ahead with HTTP/%d", name, version), ahead, row.want)
			}
		}
	}
}

type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += n
	return n, err
}

// Whatever the key has read of a body, the handler reads it again.
func TestTheHandlerReadsTheBodyThatItsKeyWasReadFrom(t *testing.T) {
	const limit = 1000
	for source, row := range map[string]struct{ kind, head, tail string }{
		"id:{form.id}":  {urlencoded, "a=%20&id=42&x=", ""},
		"id:{json./id}": {"application/json", `{"id": 42, "x": "`, "\" }\n"},
	} {
		for _, size := range []int{len(row.head) + len(row.tail), limit, limit + 1, 100_000} {
			for _, chunked := range []bool{false, true} {
				for _, shadow := range []bool{false, true} {
					text := row.head + strings.Repeat("x", size-len(row.head)-len(row.tail)) + row.tail
					var sent io.Reader = strings.NewReader(text)
					if chunked {
						sent = io.MultiReader(sent) // hides the length
					}
					got := make(chan body, 1)
					opts := []httpmw.Option{httpmw.MaxBuffered(limit)}
					if shadow {
						opts = append(opts, httpmw.Shadow())
					}
					lock := mustNew(t, locktest.New(), httpmw.Key(source), opts...)
					s := serve(t, orders(lock(readBody(got))))
					resp, err := s.Client().Post(s.URL+"/orders/42", row.kind, sent)
					if err != nil {
						t.Fatal(err)
					}
					_ = resp.Body.Close()
					what := fmt.Sprintf("%s, %d bytes, chunked %v, shadow %v", source, size, chunked, shadow)
					if size > limit && !shadow {
						equal(t, what, resp.StatusCode, http.StatusRequestEntityTooLarge)
						continue
					}
					equal(t, what, resp.StatusCode, http.StatusOK)
					if b := receive(t, got); b.text != text || b.err != nil {
						t.Errorf("%s: read %d bytes of %d, %v", what, len(b.text), len(text), b.err)
					}
				}
			}
		}
	}
}

func TestABodyThatCannotBeReadGivesNoKey(t *testing.T) {
	errBroken := errors.New("broken")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, row := range map[string]struct {
		body io.Reader
		ctx  context.Context
		want core.Reason
	}{
		"malformed":                   {iotest.ErrReader(errBroken), t.Context(), core.ReasonKeyInvalid},
		"its client is gone":          {iotest.ErrReader(errBroken), canceled, core.ReasonCanceled},
		"an outer limit's":            {http.MaxBytesReader(nil, io.NopCloser(strings.NewReader(`{"id":42}`)), 5), t.Context(), httpmw.ReasonBodyTooLarge},
		"invalid, and nobody waiting": {strings.NewReader("{"), canceled, core.ReasonKeyInvalid},
	} {
		r := httptest.NewRequestWithContext(row.ctx, http.MethodPost, "/orders/42", row.body)
		_, reason := keyOf(t, r, httpmw.Key("id:{json./id}"))
		equal(t, name, reason, row.want)
	}
	// If the handler runs nonetheless, it meets the same error.
	got := make(chan body, 1)
	h := mustNew(t, locktest.New(), httpmw.Key("id:{json./id}"), httpmw.Shadow())(readBody(got))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", io.MultiReader(strings.NewReader(`{"id`), iotest.ErrReader(errBroken))))
	if b := receive(t, got); b.text != `{"id` || !errors.Is(b.err, errBroken) {
		t.Errorf("read %q, %v", b.text, b.err)
	}
}

func TestRequireBufferedReadsEveryBodyOrRefusesIt(t *testing.T) {
	const limit = 1000
	for name, set := range protocols {
		for size, want := range map[int]int{0: 200, 1: 200, limit: 200, limit + 1: 413, 100_000: 413} {
			for _, chunked := range []bool{false, true} {
				got := make(chan body, 1)
				lock := mustNew(t, locktest.New(), httpmw.Key(template), httpmw.RequireBuffered(), httpmw.MaxBuffered(limit), httpmw.Wait(0))
				s := serveBoth(t, orders(lock(readBody(got))), set.tls, &lines{})
				text := strings.Repeat("x", size)
				var sent io.Reader = strings.NewReader(text)
				if chunked {
					sent = io.MultiReader(sent)
				}
				resp, err := clientOf(t, s, set.set).Post(s.URL+"/orders/42", "text/plain", sent)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				what := fmt.Sprintf("%s, %d bytes, chunked %v", name, size, chunked)
				equal(t, what, resp.StatusCode, want)
				if want == 200 {
					b := receive(t, got)
					equal(t, what, b.text, text)
				}
			}
		}
	}
}
