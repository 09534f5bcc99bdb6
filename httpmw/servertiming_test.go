package httpmw_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

func TestServerTimingTellsTheTimeInLine(t *testing.T) {
	for name, row := range map[string]struct {
		held time.Duration // the key, by another
		opts []httpmw.Option
		// handler is nil for one that writes "ok".
		handler func(*locktest.Fake, http.ResponseWriter, *http.Request)
		status  int
		want    string
	}{
		"granted at once":      {0, nil, nil, 200, "lock;dur=0.000"},
		"granted after a wait": {1234567 * time.Microsecond, nil, nil, 200, "lock;dur=1234.567"},
		"denied after a wait":  {time.Minute, nil, nil, 409, "lock;dur=5000.000"},
		"denied at once":       {time.Minute, []httpmw.Option{httpmw.Wait(0)}, nil, 409, "lock;dur=0.000"},
		"answered by OnDeny": {time.Minute, []httpmw.Option{httpmw.OnDeny(
			func(w http.ResponseWriter, _ *http.Request, _ *core.Denial) { w.WriteHeader(418) })}, nil, 418, "lock;dur=5000.000"},
		"lost": {time.Second, nil, func(f *locktest.Fake, _ http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second) // the work, on the bubble's clock
			f.Lose(key42)
			<-r.Context().Done()
		}, 500, "lock;dur=1000.000"},
		"in shadow": {time.Minute, []httpmw.Option{httpmw.Shadow()}, nil, 200, "lock;dur=0.000"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := locktest.New()
				if row.held > 0 {
					time.AfterFunc(row.held, fake.Hold(key42))
				}
				lock := mustNew(t, fake, httpmw.Key(template), append(row.opts, httpmw.ServerTiming())...)
				w := httptest.NewRecorder()
				w.Header().Set("Server-Timing", "cache;desc=miss")
				lock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if row.handler == nil {
						ok(w, r)
						return
					}
					row.handler(fake, w, r)
				})).ServeHTTP(w, idRequest())
				equal(t, "status", w.Code, row.status)
				got := w.Result().Header.Values("Server-Timing")
				if len(got) != 2 || got[0] != "cache;desc=miss" || got[1] != row.want {
					t.Errorf("Server-Timing: %q, want the outer one and %q", got, row.want)
				}
				time.Sleep(time.Hour) // the holder's release
			})
		})
	}
}

func TestServerTimingIsNotOnAnswersThatNoLockDelayed(t *testing.T) {
	for name, opts := range map[string][]httpmw.Option{
		"skipped":        {httpmw.ServerTiming(), httpmw.OnMissing(httpmw.Skip)},
		"without option": {httpmw.OnMissing(httpmw.Reject)},
	} {
		w := httptest.NewRecorder()
		mustNew(t, locktest.New(), httpmw.Key("tenant:{header.X-Tenant}"), opts...)(http.HandlerFunc(ok)).ServeHTTP(w, idRequest())
		if got, has := w.Header()["Server-Timing"]; has {
			t.Errorf("%s: Server-Timing: %q", name, got)
		}
	}
}

func TestServerTimingIsOnAnswersToMalformedKeys(t *testing.T) {
	w := httptest.NewRecorder()
	mustNew(t, locktest.New(), httpmw.Key("tenant:{header.X-Tenant}"), httpmw.ServerTiming())(http.HandlerFunc(ok)).ServeHTTP(w, idRequest())
	equal(t, "status", w.Code, http.StatusBadRequest)
	equal(t, "headers", len(w.Header().Values("Server-Timing")), 1)
}
