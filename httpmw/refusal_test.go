package httpmw_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/httpmw"
)

const (
	problemType = "application/problem+json"
	heldType    = "tag:latchkey-go.github.io,2026:problem:lock-held"
	heldBody    = `{"type":"` + heldType + `","reason":"LOCK_HELD","retry_after_ms":1000}`
)

// answer is a response as it comes off a wire: its length may be unknown (-1).
func answer(status int, contentType string, body io.Reader, length int64) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {contentType}},
		Body: io.NopCloser(body), ContentLength: length,
	}
}

// ask sends a request to a server that answers with resp's status and header and,
// byte by byte, with body. It returns the number of attempts and the last answer,
// after its body was read and every body that came was closed.
func ask(t *testing.T, resp *http.Response, body string, opts ...httpmw.TransportOption) (attempts int, got string) {
	t.Helper()
	closed := 0
	base := &scripted{answer: func(*http.Request) (*http.Response, error) {
		c := *resp
		c.Body = closing{iotest.OneByteReader(strings.NewReader(body)), &closed}
		return &c, nil
	}}
	last, err := mustTransport(t, base, append(opts, httpmw.RetryHeld(1))...).RoundTrip(outbound(t, "http://h", nil))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(last.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = last.Body.Close()
	equal(t, "bodies closed", closed, len(base.sent))
	equal(t, "length", last.ContentLength, resp.ContentLength)
	return len(base.sent), string(text)
}

func TestWhatIsNotADenialOfOursIsGivenBackUnharmed(t *testing.T) {
	with := func(old, now string) string { return strings.Replace(heldBody, old, now, 1) }
	long := with("{", `{"detail":"`+strings.Repeat("x", 1<<13)+`",`)
	for name, row := range map[string]struct {
		status      int
		contentType string
		encoding    string
		body        string
		length      int64
	}{
		"a success":                   {200, problemType, "", heldBody, -1},
		"another media type":          {409, "application/json", "", heldBody, -1},
		"a malformed media type":      {409, problemType + "; =", "", heldBody, -1},
		"encoded":                     {409, problemType, "gzip", heldBody, -1},
		"another's problem":           {409, problemType, "", with(heldType, "https://shop.example/held"), -1},
		"no type":                     {409, problemType, "", `{"reason":"LOCK_HELD"}`, -1},
		"no reason":                   {409, problemType, "", `{"type":"` + heldType + `"}`, -1},
		"empty":                       {409, problemType, "", "", 0},
		"a list":                      {409, problemType, "", "[" + heldBody + "]", -1},
		"two documents":               {409, problemType, "", heldBody + heldBody, -1},
		"cut off":                     {409, problemType, "", heldBody[:len(heldBody)-1], -1},
		"a hint that is no number":    {409, problemType, "", with("1000", `"soon"`), -1},
		"too long":                    {409, problemType, "", long, int64(len(long))},
		"too long, of unknown length": {409, problemType, "", long, -1},
	} {
		t.Run(name, func(t *testing.T) {
			resp := answer(row.status, row.contentType, nil, row.length)
			if row.encoding != "" {
				resp.Header.Set("Content-Encoding", row.encoding)
			}
			attempts, got := ask(t, resp, row.body)
			equal(t, "attempts", attempts, 1)
			equal(t, "the body is the server's", got == row.body, true)
		})
	}
}

func TestADenialOfAnyStatusMediaTypeParameterAndFormIsTold(t *testing.T) {
	for name, row := range map[string]struct{ contentType, body string }{
		"a charset":      {problemType + "; charset=utf-8", heldBody},
		"capitals":       {"Application/Problem+JSON", heldBody},
		"more members":   {problemType, strings.Replace(heldBody, "{", `{"trace":{"id":[7]},`, 1)},
		"no hint":        {problemType, strings.Replace(heldBody, `,"retry_after_ms":1000`, "", 1)},
		"hint below 0":   {problemType, strings.Replace(heldBody, "1000", "-9223372036854775808", 1)},
		"almost too big": {problemType, heldBody + strings.Repeat(" ", 4096-len(heldBody))},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				attempts, _ := ask(t, answer(http.StatusTeapot, row.contentType, nil, -1), row.body)
				equal(t, "attempts", attempts, 2)
			})
		})
	}
}

func TestAProblemThatBreaksOffBreaksOffForTheCallerToo(t *testing.T) {
	broken := errors.New("connection reset")
	base := &scripted{answer: func(*http.Request) (*http.Response, error) {
		return answer(409, problemType, io.MultiReader(strings.NewReader(heldBody), iotest.ErrReader(broken)), -1), nil
	}}
	resp, err := mustTransport(t, base, httpmw.RetryHeld(1)).RoundTrip(outbound(t, "http://h", nil))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	equal(t, "body", string(body), heldBody)
	equal(t, "error", err, broken)
}

// Whatever a server answers: it is repeated only if it is a denial whose handler
// never ran, the wait is within its bound, and the caller gets the answer as it
// came.
func FuzzAnswersToAClient(f *testing.F) {
	f.Add(409, problemType, heldBody, "", "")
	f.Add(503, problemType+"; charset=utf-8", heldBody, "1", "")
	f.Add(423, problemType, `{"type":"`+heldType+`","reason":"LOCK_LOST","Reason":"LOCK_HELD"}`, "0", "")
	f.Add(409, problemType, strings.Replace(heldBody, "1000", "-1", 1), "Sat, 01 Jan 2000 00:00:03 GMT", "Sat, 01 Jan 2000 00:00:00 GMT")
	f.Add(409, problemType, strings.Replace(heldBody, "1000", "1e999", 1), "99999999999999999999", "")
	f.Add(500, problemType, `{"type":"`+heldType+`","reason":"LOCK_STALE"}`, "٣", "")
	f.Add(409, problemType, strings.Repeat("[", 4000), "", "")
	f.Fuzz(func(t *testing.T, status int, contentType, body, retryAfter, date string) {
		bubble(t, func(t *testing.T) {
			const bound = 5 * time.Second
			resp := answer(status, contentType, nil, -1)
			resp.Header.Set("Retry-After", retryAfter)
			resp.Header.Set("Date", date)
			began := time.Now()
			attempts, got := ask(t, resp, body, httpmw.MaxRetryWait(bound))
			equal(t, "the body is the server's", got == body, true)
			waited := time.Since(began)
			if attempts == 1 {
				equal(t, "wait", waited, 0)
				return
			}
			if waited < 10*time.Millisecond || waited > bound*5/4 {
				t.Fatalf("a wait of %v", waited)
			}
			// Read as loosely as encoding/json reads: in any case, of repeated
			// members one.
			var members map[string]any
			if err := json.Unmarshal([]byte(body), &members); err != nil || status < 400 {
				t.Fatalf("repeated after %d %q: %v", status, body, err)
			}
			has := func(member string, such func(string) bool) bool {
				for name, value := range members {
					if text, ok := value.(string); ok && strings.EqualFold(name, member) && such(text) {
						return true
					}
				}
				return false
			}
			if !has("type", func(s string) bool { return strings.HasPrefix(s, strings.TrimSuffix(heldType, "lock-held")) }) ||
				!has("reason", func(s string) bool {
					return slices.Contains([]core.Reason{
						core.ReasonHeld, core.ReasonWaitTimeout, core.ReasonQueueFull, core.ReasonBackend, core.ReasonShuttingDown,
					}, core.Reason(s))
				}) {
				t.Fatalf("repeated after %q", body)
			}
		})
	})
}
