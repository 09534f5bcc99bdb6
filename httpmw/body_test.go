package httpmw_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

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

// HTTP/2 tells of a reset stream in any case, so the body stays where it is.
func TestOnlyHTTP1BodiesAreReadAhead(t *testing.T) {
	for version, want := range map[int]int{1: 4, 2: 0} {
		read := &counter{r: strings.NewReader("body")}
		ahead := -1
		lock := mustNew(t, locktest.New(), httpmw.Key(template))
		r := httptest.NewRequest(http.MethodPut, "/orders/42", io.NopCloser(read))
		r.ContentLength, r.ProtoMajor = 4, version
		orders(lock(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ahead = read.n }))).
			ServeHTTP(httptest.NewRecorder(), r)
		equal(t, fmt.Sprintf("bytes that were read ahead with HTTP/%d", version), ahead, want)
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
