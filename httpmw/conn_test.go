package httpmw_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

// byLastPart takes what a key ends with as the key, whatever it is scoped by.
type byLastPart struct{ *locktest.Fake }

func (l byLastPart) Acquire(ctx context.Context, key string, opts ...core.AcquireOption) (core.Lock, error) {
	return l.Fake.Acquire(ctx, key[strings.LastIndexByte(key, ':')+1:], opts...)
}

// However many requests of a connection come for keys that are held, it has room for
// others: all but a few are told. There are less than 250 in all, because net/http's
// own client has another connection for more.
func TestRequestsInLineLeaveTheirConnectionRoomForOthers(t *testing.T) {
	const wait = 15 * time.Second
	together := httpmw.MaxWaitingPerConn(60)
	for name, c := range map[string]struct {
		http2  bool
		opt    httpmw.Option
		keys   []string
		routes int
		calls  int
		stays  int
	}{
		"one key":               {true, nil, []string{"hot"}, 1, 240, 100},
		"several keys":          {true, nil, []string{"hot", "hotter", "hottest"}, 1, 240, 100},
		"a bound for each":      {true, nil, []string{"hot", "hotter"}, 2, 240, 200},
		"one bound for several": {true, together, []string{"hot", "hotter", "hottest"}, 3, 240, 60},
		"HTTP/1 needs none":     {false, nil, []string{"hot"}, 1, 80, 80},
	} {
		t.Run(name, func(t *testing.T) {
			fake := locktest.New()
			for _, key := range c.keys {
				defer fake.Hold(key)()
			}
			mux := http.NewServeMux()
			for i := range c.routes {
				lock := mustNew(t, byLastPart{fake}, httpmw.Key("order:{path.id}"), httpmw.Wait(wait), c.opt)
				mux.Handle("/"+string(rune('a'+i))+"/{id}", lock(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			protocols := new(http.Protocols)
			protocols.SetHTTP1(!c.http2)
			protocols.SetUnencryptedHTTP2(c.http2)
			server := &http.Server{Handler: mux, Protocols: protocols}
			served := make(chan error, 1)
			go func() { served <- server.Serve(l) }()
			defer func() { _ = server.Close(); <-served }()
			client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
			defer client.CloseIdleConnections()
			ctx, cancel := context.WithCancel(soon(t))
			defer cancel()
			get := func(path string) (*http.Response, error) {
				r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.Addr().String()+path, nil)
				if err != nil {
					return nil, err
				}
				resp, err := client.Do(r)
				if err == nil {
					_ = resp.Body.Close()
				}
				return resp, err
			}
			if _, err := get("/a/warm"); err != nil {
				t.Fatal(err)
			}
			var told atomic.Int32
			full := make(chan struct{})
			var calls sync.WaitGroup
			for i := range c.calls {
				calls.Go(func() {
					resp, err := get("/" + string(rune('a'+i%c.routes)) + "/" + c.keys[i%len(c.keys)])
					if err != nil {
						return // cancelled, at the end
					}
					if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
						t.Errorf("status %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
					}
					if int(told.Add(1)) == c.calls-c.stays {
						close(full)
					}
				})
			}
			start := time.Now()
			resp, err := get("/a/free")
			if took := time.Since(start); err != nil || resp.StatusCode != http.StatusOK || took > wait/3 {
				t.Errorf("a request for a free key: %v, %v after %v", resp, err, took)
			}
			if c.stays < c.calls {
				select {
				case <-full:
				case <-ctx.Done():
				}
			}
			cancel()
			calls.Wait()
			if n := int(told.Load()); n != c.calls-c.stays {
				t.Errorf("%d were told, want %d", n, c.calls-c.stays)
			}
		})
	}
}

func TestANegativeNumberOfWaitingRequestsIsRefused(t *testing.T) {
	_, err := httpmw.New(locktest.New(), httpmw.Key("order:{path.id}"), httpmw.MaxWaitingPerConn(-1))
	if err == nil || !strings.Contains(err.Error(), "MaxWaitingPerConn -1 is negative") {
		t.Errorf("got %v", err)
	}
}
