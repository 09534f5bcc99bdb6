package httpmw

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/idgen"
	"github.com/latchkey-go/latchkey/internal/denial"
)

// tagAuthority begins the URIs of problems and requests. They are tag URIs (RFC
// 4151), which name without promising that there is something to fetch; RFC 9457,
// section 3.1.1, has them for types that do not resolve.
const tagAuthority = "tag:latchkey-go.github.io,2026:"

// problemDetails is the body of a denial: RFC 9457, with the extension members
// reason and retry_after_ms.
type problemDetails struct {
	Type         string      `json:"type"`
	Title        string      `json:"title"`
	Status       int         `json:"status"`
	Detail       string      `json:"detail"`
	Instance     string      `json:"instance,omitempty"`
	Reason       core.Reason `json:"reason"`
	RetryAfterMS int64       `json:"retry_after_ms,omitempty"`
}

// WriteDenial answers r with d, as application/problem+json (see the package's
// documentation for the table); a nil d is [core.ReasonInternal]. Nothing may
// have been written to w. Handlers call it when their store has refused the
// fencing token:
//
//	httpmw.WriteDenial(w, r, core.Denied(core.ErrStale))
//
// The body holds fixed texts, the request's ID as its instance, the reason and
// when to try again, and nothing else of d. Headers that w has keep standing,
// except those that would describe another body. The statuses are the package's
// usual ones, whatever preset the route has.
//
// When to try again is at random, so that those who were denied together do not
// come back together: retry_after_ms is d's hint, which has jitter of its own. If
// d has none it is 500 ms to 1 s, or 1 to 2 s from a server that shuts down. Retry-After, in whole seconds, is
// at least that, at least 1, and for half of the clients a second more.
//
// For [core.ReasonCanceled] nothing is written. As returning without an answer
// would tell net/http to send an empty 200, and as a context is not only
// cancelled when a client goes away, WriteDenial then panics with
// [http.ErrAbortHandler], which closes the connection and is not logged. It
// does so under an [http.Server] only.
func WriteDenial(w http.ResponseWriter, r *http.Request, d *core.Denial) {
	writeDenial(w, r, d, standard)
}

func writeDenial(w http.ResponseWriter, r *http.Request, d *core.Denial, preset preset) {
	if d == nil {
		d = &core.Denial{Reason: core.ReasonInternal}
	}
	if d.Reason == core.ReasonCanceled {
		abort(r)
		return
	}
	row := denial.Of(d.Reason)
	status := preset.status(d.Reason, row.Status)
	body := problemDetails{
		Type: tagAuthority + "problem:" + row.Slug, Title: row.Title, Status: status, Detail: row.Detail,
		Reason: d.Reason,
	}
	if id, ok := idgen.FromContext(r.Context()); ok {
		body.Instance = tagAuthority + "request:" + url.PathEscape(id)
	}
	header := w.Header()
	for _, name := range []string{
		"Accept-Ranges", "Content-Digest", "Content-Disposition", "Content-Encoding", "Content-Language",
		"Content-Location", "Content-Md5", "Content-Range", "Digest", "Etag", "Expires", "Last-Modified", "Location",
		"Repr-Digest", "Retry-After", "Trailer", "Transfer-Encoding",
	} {
		header.Del(name)
	}
	if after := row.RetryAfter(d); after > 0 {
		body.RetryAfterMS = ceil(after, time.Millisecond)
		header.Set("Retry-After", strconv.FormatInt(retrySeconds(after), 10))
	}
	if row.Close {
		header.Set("Connection", "close")
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // strings and numbers always have a JSON form
	}
	header.Set("Content-Type", "application/problem+json")
	header.Set("Content-Length", strconv.Itoa(len(text)))
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(text) // fails if the client is gone: nobody to tell
	}
}
