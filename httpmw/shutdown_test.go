package httpmw_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/httpmw"
)

// waitSpy tells of each request that gets in line.
type waitSpy struct {
	core.NopObserver
	waiting chan struct{}
}

func (s waitSpy) Waiting(context.Context, core.Attempt) { s.waiting <- struct{}{} }

// Over sockets, and with a Locker in Redis: those in line are answered at once, the
// holder finishes, and its release is in Redis when Shutdown returns.
func TestAShutdownAnswersThoseInLineAndWaitsForTheHolder(t *testing.T) {
	mini := locktest.StartMini(t)
	spy := waitSpy{waiting: make(chan struct{}, 1)}
	locker, err := core.New(mini.Client(nil), core.WithObserver(spy))
	if err != nil {
		t.Fatal(err)
	}
	inside, finish := make(chan struct{}), make(chan struct{})
	s := serve(t, orders(mustNew(t, locker, httpmw.Key(template), httpmw.Wait(patience))(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(inside)
			<-finish
			if r.Context().Err() != nil {
				t.Error("the holder was cut off")
			}
			ok(w, r)
		}))))
	holder := make(chan string, 1)
	go func() {
		status, body, err := send(s, http.MethodPut, "/orders/42", nil)
		holder <- fmt.Sprint(status, " ", body, err)
	}()
	receive(t, inside)
	waiter := make(chan string, 1)
	conn := dial(t, s, request)
	go func() {
		all, err := io.ReadAll(conn) // until the server closes it
		waiter <- fmt.Sprint(string(all), err)
	}()
	receive(t, spy.waiting)

	down := make(chan error, 1)
	go func() { down <- locker.Shutdown(soon(t)) }()
	answer := receive(t, waiter)
	if !strings.HasPrefix(answer, "HTTP/1.1 503 ") || !strings.Contains(answer, "\r\nConnection: close\r\n") ||
		!strings.Contains(answer, `"LOCK_SHUTTING_DOWN"`) {
		t.Errorf("who waited got %s", answer)
	}
	close(finish)
	equal(t, "holder", receive(t, holder), "200 ok<nil>")
	if err := receive(t, down); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	for _, name := range mini.Keys() {
		if !strings.HasSuffix(name, ":fence") {
			t.Errorf("left in Redis: %s", name)
		}
	}
}
