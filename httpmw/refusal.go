package httpmw

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/internal/denial"
)

// maxProblem is the longest problem that can be a denial of ours, which have
// some 400 bytes.
const maxProblem = 4 << 10

// forever is a hint beyond every bound.
const forever = time.Duration(math.MaxInt64)

// refusal is a denial as a client sees it, of a request whose handler did not
// run.
type refusal struct {
	reason core.Reason
	after  time.Duration // the hint; not positive if there is none
}

// readRefusal tells whether resp is a refusal. Either way resp has its body
// afterwards, as it came. The body of a refusal is in memory, and its connection
// free.
func readRefusal(resp *http.Response) (refusal, bool) {
	if resp.StatusCode < 400 || resp.ContentLength > maxProblem ||
		resp.Header.Get("Content-Encoding") != "" {
		return refusal{}, false
	}
	media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || media != "application/problem+json" {
		return refusal{}, false
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem+1))
	switch {
	case err != nil:
		resp.Body = replayed{io.MultiReader(bytes.NewReader(text), failingReader{err}), resp.Body}
		return refusal{}, false
	case len(text) > maxProblem:
		resp.Body = replayed{io.MultiReader(bytes.NewReader(text), resp.Body), resp.Body}
		return refusal{}, false
	}
	_ = resp.Body.Close() // read to its end, so the connection lives on
	resp.Body = io.NopCloser(bytes.NewReader(text))

	var p problemDetails
	if err := json.Unmarshal(text, &p); err != nil || !strings.HasPrefix(p.Type, tagAuthority+"problem:") ||
		!denial.Of(p.Reason).Repeatable() {
		return refusal{}, false
	}
	after := times(p.RetryAfterMS, time.Millisecond)
	if after <= 0 {
		after = headerHint(resp.Header)
	}
	return refusal{p.Reason, after}, true
}

// headerHint is what the header Retry-After says (RFC 9110, section 10.2.3): a
// number of seconds, or a date. Not positive if it says nothing.
func headerHint(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if text != "" && !strings.ContainsFunc(text, func(c rune) bool { return c < '0' || c > '9' }) {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return forever // digits only, so it is too large
		}
		return times(seconds, time.Second)
	}
	date, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	// By the server's clock, which may not be ours.
	if now, err := http.ParseTime(h.Get("Date")); err == nil {
		return date.Sub(now)
	}
	return time.Until(date)
}

// times is n units, or forever if that is more than a Duration can be.
func times(n int64, unit time.Duration) time.Duration {
	if n > int64(forever/unit) {
		return forever
	}
	return time.Duration(max(n, 0)) * unit
}
