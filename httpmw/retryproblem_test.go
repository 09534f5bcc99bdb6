package httpmw_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
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
	heldType = "tag:latchkey-go.github.io,2026:problem:lock-held"
	heldBody = `{"type":"` + heldType + `","reason":"LOCK_HELD","retry_after_ms":1000}`
)

// answer is a response as it comes off a wire: its length may be unknown.
func answer(status int, contentType string, body io.Reader, length int64) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {contentType}},
		Body: io.NopCloser(body), ContentLength: length,
	}
}

// problem is a denial with these hints; "" leaves a header out.
func problem(ms, retryAfter, date string) func(*http.Request) *http.Response {
	return func(*http.Request) *http.Response {
		body := fmt.Sprintf(`{"type":%q,"reason":"LOCK_HELD","retry_after_ms":%s}`, heldType, ms)
		resp := answer(http.StatusConflict, "application/problem+json", strings.NewReader(body), -1)
		for name, value := range map[string]string{"Retry-After": retryAfter, "Date": date} {
			if value != "" {
				resp.Header.Set(name, value)
			}
		}
		return resp
	}
}

func TestWhatIsNotADenialOfOursIsGivenBackUnharmed(t *testing.T) {
	const ours = "application/problem+json"
	long := strings.Replace(heldBody, "{", `{"detail":"`+strings.Repeat("x", 1<<20)+`",`, 1)
	for name, row := range map[string]struct {
		status      int
		contentType string
		encoding    string
		body        string
		length      int64 // -1 for one that is unknown
	}{
		"a success":                   {200, ours, "", heldBody, -1},
		"another media type":          {409, "application/json", "", heldBody, -1},
		"no media type":               {409, "", "", heldBody, -1},
		"a malformed media type":      {409, ours + "; =", "", heldBody, -1},
		"encoded":                     {409, ours, "gzip", heldBody, -1},
		"another's problem":           {409, ours, "", `{"type":"https://shop.example/held","reason":"LOCK_HELD"}`, -1},
		"no type":                     {409, ours, "", `{"reason":"LOCK_HELD"}`, -1},
		"no reason":                   {409, ours, "", `{"type":"` + heldType + `"}`, -1},
		"not JSON":                    {409, ours, "", "held", -1},
		"empty":                       {409, ours, "", "", 0},
		"a list":                      {409, ours, "", "[" + heldBody + "]", -1},
		"two documents":               {409, ours, "", heldBody + heldBody, -1},
		"cut off":                     {409, ours, "", heldBody[:len(heldBody)-1], -1},
		"a hint that is no number":    {409, ours, "", strings.Replace(heldBody, "1000", `"soon"`, 1), -1},
		"a hint beyond every number":  {409, ours, "", strings.Replace(heldBody, "1000", "1e999", 1), -1},
		"too long":                    {409, ours, "", long, int64(len(long))},
		"too long, of unknown length": {409, ours, "", long, -1},
		"deep":                        {409, ours, "", strings.Repeat("[", 4000), -1},
	} {
		t.Run(name, func(t *testing.T) {
			sent, closed := 0, 0
			base := roundTrip(func(*http.Request) (*http.Response, error) {
				sent++
				// One byte at a time, as slow networks do.
				resp := answer(row.status, row.contentType, iotest.OneByteReader(strings.NewReader(row.body)), row.length)
				resp.Body = closing{resp.Body, &closed}
				if row.encoding != "" {
					resp.Header.Set("Content-Encoding", row.encoding)
				}
				return resp, nil
			})
			resp, err := mustTransport(t, base, httpmw.RetryHeld(1)).RoundTrip(newRequest(t, "http://h", nil))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			equal(t, "attempts", sent, 1)
			equal(t, "length", resp.ContentLength, row.length)
			equal(t, "times the base's body was closed", closed, 1)
			if string(body) != row.body {
				t.Errorf("the body has changed: %d bytes, sent were %d", len(body), len(row.body))
			}
		})
	}
}

func TestADenialOfAnyStatusMediaTypeParameterAndFormIsTold(t *testing.T) {
	for name, row := range map[string]struct {
		contentType string
		body        string
	}{
		"a charset":      {"application/problem+json; charset=utf-8", heldBody},
		"capitals":       {"Application/Problem+JSON", heldBody},
		"more members":   {"application/problem+json", strings.Replace(heldBody, "{", `{"trace":{"id":[7]},`, 1)},
		"no hint":        {"application/problem+json", strings.Replace(heldBody, `,"retry_after_ms":1000`, "", 1)},
		"the hint null":  {"application/problem+json", strings.Replace(heldBody, "1000", "null", 1)},
		"hint below 0":   {"application/problem+json", strings.Replace(heldBody, "1000", "-9223372036854775808", 1)},
		"almost too big": {"application/problem+json", heldBody + strings.Repeat(" ", 4096-len(heldBody))},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				sent, closed := 0, 0
				base := roundTrip(func(*http.Request) (*http.Response, error) {
					sent++
					resp := answer(http.StatusTeapot, row.contentType, strings.NewReader(row.body), -1)
					resp.Body = closing{resp.Body, &closed}
					return resp, nil
				})
				resp, err := mustTransport(t, base, httpmw.RetryHeld(1)).RoundTrip(newRequest(t, "http://h", nil))
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				equal(t, "attempts", sent, 2)
				equal(t, "bodies closed", closed, 1) // the last one is the caller's, who is not told from n
			})
		})
	}
}

func TestAProblemThatBreaksOffBreaksOffForTheCallerToo(t *testing.T) {
	broken := errors.New("connection reset")
	base := roundTrip(func(*http.Request) (*http.Response, error) {
		return answer(409, "application/problem+json", io.MultiReader(strings.NewReader(heldBody), iotest.ErrReader(broken)), -1), nil
	})
	resp, err := mustTransport(t, base, httpmw.RetryHeld(1)).RoundTrip(newRequest(t, "http://h", nil))
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
	f.Add(409, "application/problem+json", heldBody, "", "")
	f.Add(503, "application/problem+json; charset=utf-8", heldBody, "1", "")
	f.Add(423, "application/problem+json", `{"type":"`+heldType+`","reason":"LOCK_LOST","Reason":"LOCK_HELD"}`, "0", "")
	f.Add(409, "application/problem+json", strings.Replace(heldBody, "1000", "-1", 1), "Sat, 01 Jan 2000 00:00:03 GMT", "Sat, 01 Jan 2000 00:00:00 GMT")
	f.Add(409, "application/problem+json", strings.Replace(heldBody, "1000", "0", 1), "Saturday, 01-Jan-00 00:00:03 GMT", "garbage")
	f.Add(409, "application/problem+json", strings.Replace(heldBody, "1000", "99999999999999999999", 1), "99999999999999999999", "")
	f.Add(500, "application/problem+json", `{"type":"`+heldType+`","reason":"LOCK_STALE"}`, "٣", "")
	f.Fuzz(func(t *testing.T, status int, contentType, body, retryAfter, date string) {
		bubble(t, func(t *testing.T) {
			const bound = 5 * time.Second
			sent := 0
			base := roundTrip(func(*http.Request) (*http.Response, error) {
				sent++
				resp := answer(status, contentType, strings.NewReader(body), -1)
				resp.Header.Set("Retry-After", retryAfter)
				resp.Header.Set("Date", date)
				return resp, nil
			})
			began := time.Now()
			resp, err := mustTransport(t, base, httpmw.RetryHeld(1), httpmw.MaxRetryWait(bound)).
				RoundTrip(newRequest(t, "http://h", nil))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			if err != nil || string(got) != body {
				t.Fatalf("the caller gets %q, %v; the server has sent %q", got, err, body)
			}
			waited := time.Since(began)
			if sent == 1 && waited == 0 {
				return
			}
			if sent != 2 || waited < 10*time.Millisecond || waited > bound*5/4 {
				t.Fatalf("%d attempts with a wait of %v", sent, waited)
			}
			var members map[string]any
			decoder := json.NewDecoder(bytes.NewReader(got))
			if err := decoder.Decode(&members); err != nil || status < 400 {
				t.Fatalf("repeated after %d %q: %v", status, got, err)
			}
			var reasons, types []string
			for name, value := range members {
				text, _ := value.(string)
				switch {
				case strings.EqualFold(name, "reason"):
					reasons = append(reasons, text)
				case strings.EqualFold(name, "type"):
					types = append(types, text)
				}
			}
			if !slices.ContainsFunc(reasons, func(r string) bool {
				switch core.Reason(r) {
				case core.ReasonHeld, core.ReasonWaitTimeout, core.ReasonQueueFull, core.ReasonBackend, core.ReasonShuttingDown:
					return true
				}
				return false
			}) || !slices.ContainsFunc(types, func(typ string) bool {
				return strings.HasPrefix(typ, "tag:latchkey-go.github.io,2026:problem:")
			}) {
				t.Fatalf("repeated after %q", got)
			}
		})
	})
}
