package httpmw_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

// opaqueWriter hides what it wraps for good.
type opaqueWriter struct{ http.ResponseWriter }

// As streams of events begin. Were it not known to be an answer, a lost lock would
// put a second one behind it.
func TestAnAnswerThatBeginsWithAFlushIsOneWhateverWriterIsAroundTheLock(t *testing.T) {
	around := map[string]func(http.ResponseWriter) http.ResponseWriter{
		"an opaque writer": func(w http.ResponseWriter) http.ResponseWriter { return opaqueWriter{w} },
	}
	for name, wrap := range writersAround {
		around[name] = wrap
	}
	for name, wrap := range around {
		for protocol, p := range protocols {
			opaque := name == "an opaque writer"
			t.Run(name+", "+protocol, func(t *testing.T) {
				fake, logged := locktest.New(), &lines{}
				lock := mustNew(t, fake, httpmw.Key(template))
				mux := orders(lock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					err := http.NewResponseController(w).Flush()
					equal(t, "not supported", errors.Is(err, http.ErrNotSupported), opaque)
					fake.Lose(key42)
					<-r.Context().Done()
				})))
				s := serveBoth(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { mux.ServeHTTP(wrap(w), r) }), p.tls, logged)
				resp, err := clientOf(t, s, p.set).Get(s.URL + "/orders/42")
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Error(err)
				}
				_ = resp.Body.Close()
				want := "200 true"
				if opaque { // nothing was sent
					want = "500 false"
				}
				equal(t, "status, and an empty body", fmt.Sprint(resp.StatusCode, " ", len(body) == 0), want)
				s.Close()
				equal(t, "log", logged.String(), "")
			})
		}
	}
}
