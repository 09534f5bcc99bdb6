package httpmw_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

func TestAResponseThatHasBegunWhenTheLockIsLost(t *testing.T) {
	for name, row := range map[string]struct {
		policy  httpmw.LossPolicy
		begin   func(http.ResponseWriter)
		aborted bool
	}{
		"kept, buffered":    {httpmw.KeepResponse, func(http.ResponseWriter) {}, false},
		"kept, flushed":     {httpmw.KeepResponse, func(w http.ResponseWriter) { w.(http.Flusher).Flush() }, false},
		"aborted, buffered": {httpmw.AbortResponse, func(http.ResponseWriter) {}, true},
		"aborted, flushed":  {httpmw.AbortResponse, func(w http.ResponseWriter) { w.(http.Flusher).Flush() }, true},
	} {
		for _, http2 := range []bool{false, true} {
			protocol := map[bool]string{false: "HTTP/1", true: "HTTP/2"}[http2]
			t.Run(name+", "+protocol, func(t *testing.T) {
				fake := locktest.New()
				lock := mustNew(t, fake, httpmw.Key(template), httpmw.OnLossAfterWrite(row.policy))
				logged := &lines{}
				s := httptest.NewUnstartedServer(orders(lock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					ok(w, r)
					row.begin(w)
					fake.Lose(key42)
					<-r.Context().Done()
				}))))
				s.EnableHTTP2 = http2
				s.Config.ErrorLog = log.New(logged, "", 0)
				s.StartTLS()
				t.Cleanup(s.Close)
				resp, err := s.Client().Get(s.URL + "/orders/42")
				if err == nil {
					_, err = io.ReadAll(resp.Body)
					_ = resp.Body.Close()
				}
				equal(t, "aborted", err != nil, row.aborted)
				s.Close()
				equal(t, "log", logged.String(), "")
			})
		}
	}
}

func TestAResponseIsNotAbortedWithoutALoss(t *testing.T) {
	lock := mustNew(t, locktest.New(), httpmw.Key(template), httpmw.OnLossAfterWrite(httpmw.AbortResponse))
	status, body := put(t, serve(t, orders(lock(http.HandlerFunc(ok)))), "/orders/42")
	equal(t, "status", status, http.StatusOK)
	equal(t, "body", body, "ok")
}
