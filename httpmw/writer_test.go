package httpmw_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

// interfaces lists what w can do beyond a ResponseWriter.
func interfaces(w http.ResponseWriter) string {
	var all []string
	add := func(name string, is bool) {
		if is {
			all = append(all, name)
		}
	}
	_, is := w.(http.Flusher)
	add("Flusher", is)
	_, is = w.(http.Hijacker)
	add("Hijacker", is)
	_, is = w.(io.ReaderFrom)
	add("ReaderFrom", is)
	_, is = w.(io.StringWriter)
	add("StringWriter", is)
	_, is = w.(http.Pusher)
	add("Pusher", is)
	//lint:ignore SA1019 deprecated, and still asked for by old handlers
	_, is = w.(http.CloseNotifier)
	add("CloseNotifier", is)
	c := http.NewResponseController(w)
	add("read deadline", c.SetReadDeadline(time.Time{}) == nil)
	add("write deadline", c.SetWriteDeadline(time.Time{}) == nil)
	add("full duplex", c.EnableFullDuplex() == nil)
	return strings.Join(all, ", ")
}

func TestALockedHandlerSeesTheSameResponseWriter(t *testing.T) {
	for name, row := range map[string]struct{ http2, contains string }{
		"HTTP/1": {"", "Flusher, Hijacker, ReaderFrom, StringWriter, CloseNotifier, read deadline, write deadline, full duplex"},
		"HTTP/2": {"yes", "Pusher"},
	} {
		t.Run(name, func(t *testing.T) {
			tell := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, interfaces(w)) })
			lock := mustNew(t, locktest.New(), httpmw.Key(template))
			mux := orders(lock(tell))
			mux.Handle("/bare", tell)
			s := httptest.NewUnstartedServer(mux)
			s.EnableHTTP2 = row.http2 != ""
			s.StartTLS()
			t.Cleanup(s.Close)
			_, bare := put(t, s, "/bare")
			_, locked := put(t, s, "/orders/42")
			equal(t, "interfaces", locked, bare)
			if !strings.Contains(bare, row.contains) {
				t.Errorf("the test sees too little of %s: %s", name, bare)
			}
		})
	}
}

// What a handler did before its lock was lost decides who answers.
func TestAfterALossOnlyAnUnansweredRequestIsAnsweredLost(t *testing.T) {
	const lost = "500 LOCK_LOST"
	for name, row := range map[string]struct {
		do   func(http.ResponseWriter)
		want string
	}{
		"nothing":           {func(http.ResponseWriter) {}, lost},
		"a header is set":   {func(w http.ResponseWriter) { w.Header().Set("Content-Length", "3") }, lost},
		"an empty source":   {func(w http.ResponseWriter) { _, _ = io.Copy(w, onlyReader{strings.NewReader("")}) }, lost},
		"an early hint":     {func(w http.ResponseWriter) { w.WriteHeader(http.StatusEarlyHints) }, lost},
		"a status":          {func(w http.ResponseWriter) { w.WriteHeader(http.StatusCreated) }, "201 "},
		"a write":           {func(w http.ResponseWriter) { _, _ = w.Write([]byte("done")) }, "200 done"},
		"an empty write":    {func(w http.ResponseWriter) { _, _ = w.Write(nil) }, "200 "},
		"a string":          {func(w http.ResponseWriter) { _, _ = io.WriteString(w, "done") }, "200 done"},
		"a copy":            {func(w http.ResponseWriter) { _, _ = io.Copy(w, onlyReader{strings.NewReader("done")}) }, "200 done"},
		"a flush":           {func(w http.ResponseWriter) { w.(http.Flusher).Flush() }, "200 "},
		"a checked flush":   {func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }, "200 "},
		"a hijack":          {hijack, "202 by hand"},
		"deadlines are set": {func(w http.ResponseWriter) { _ = interfaces(w) }, lost},
	} {
		t.Run(name, func(t *testing.T) {
			fake := locktest.New()
			lock := mustNew(t, fake, httpmw.Key(template), httpmw.OnHijack(httpmw.HoldUntilReturn))
			s, logged := serveLogged(t, orders(lock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				row.do(w)
				fake.Lose(key42)
				<-r.Context().Done()
			}))))
			status, body := put(t, s, "/orders/42")
			if status == http.StatusInternalServerError {
				body = string(reason(t, body))
			}
			equal(t, "answer", fmt.Sprint(status, " ", body), row.want)
			s.Close()
			equal(t, "log", logged.String(), "") // such as a superfluous WriteHeader
		})
	}
}

func TestAfterALossWhatIsNoAnswerAndWhatIs(t *testing.T) {
	for name, row := range map[string]struct {
		do     func(http.ResponseWriter)
		status int
		empty  bool
	}{
		"a hijack that failed": {func(w http.ResponseWriter) { _, _, _ = w.(http.Hijacker).Hijack() }, 500, false},
		"switching protocols":  {func(w http.ResponseWriter) { w.WriteHeader(http.StatusSwitchingProtocols) }, 101, true},
	} {
		t.Run(name, func(t *testing.T) {
			fake := locktest.New()
			lock := mustNew(t, fake, httpmw.Key(template), httpmw.OnHijack(httpmw.HoldUntilReturn))
			w := unhijackable{httptest.NewRecorder()}
			orders(lock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				row.do(w)
				fake.Lose(key42)
				<-r.Context().Done()
			}))).ServeHTTP(w, httptest.NewRequest(http.MethodPut, "/orders/42", nil))
			equal(t, "status", w.Code, row.status)
			equal(t, "empty body", w.Body.Len() == 0, row.empty)
		})
	}
}

// unhijackable has a connection that cannot be taken over.
type unhijackable struct{ *httptest.ResponseRecorder }

func (unhijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, http.ErrNotSupported
}

// onlyReader hides WriteTo, which io.Copy prefers to ReadFrom.
type onlyReader struct{ io.Reader }

func hijack(w http.ResponseWriter) {
	conn, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = rw.WriteString("HTTP/1.1 202 Accepted\r\nContent-Length: 7\r\nConnection: close\r\n\r\nby hand")
	_ = rw.Flush()
	_ = conn.Close()
}

func TestOnDenyMayAnswerForALostLock(t *testing.T) {
	fake := locktest.New()
	lock := mustNew(t, fake, httpmw.Key(template),
		httpmw.OnDeny(func(w http.ResponseWriter, _ *http.Request, d *core.Denial) {
			http.Error(w, string(d.Reason), http.StatusTeapot)
		}))
	s := serve(t, orders(lock(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fake.Lose(key42)
		<-r.Context().Done()
	}))))
	status, body := put(t, s, "/orders/42")
	equal(t, "answer", fmt.Sprint(status, " ", body), "418 LOCK_LOST\n")
}
