package main

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/latchkey-go/latchkey/examples/flashsale/internal/crowd"
	"github.com/latchkey-go/latchkey/examples/internal/shoppb"
)

func post(t *testing.T, client *http.Client, target, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

func TestServeInvitesToBuyAndEndsCleanlyWhenInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	invited := make(chan string, 1)
	stdout := output{onWrite: func(sofar string) {
		if strings.Count(sofar, "Shop/Watch\n") == replicas {
			select {
			case invited <- sofar:
			default:
			}
		}
	}}
	var stderr output
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"-serve", "-units", "5"}, &stdout, &stderr) }()

	var text string
	select {
	case text = <-invited:
	case status := <-ended:
		t.Fatalf("ended with %d: %s", status, stderr.String())
	}
	client := crowd.NewHTTPClient(1)
	orders := regexp.MustCompile(`http://\S+/orders`).FindAllString(text, -1)
	calls := regexp.MustCompile(`(\S+) latchkey.examples.shop.v1.Shop/Buy`).FindAllStringSubmatch(text, -1)
	if len(orders) != replicas || len(calls) != replicas {
		t.Fatalf("no lines to try in:\n%s", text)
	}
	for _, target := range orders {
		if got := post(t, client, target, `{"buyer":"ann","quantity":1}`); got != http.StatusOK {
			t.Errorf("POST %s: status %d", target, got)
		}
	}
	watch := watchStock(t, calls[1][1])
	if left := watch(); left != 3 {
		t.Errorf("Watch began with %d left, want 3", left)
	}
	if got := post(t, client, orders[0], `{"buyer":"bob","quantity":2}`); got != http.StatusOK {
		t.Errorf("status %d", got)
	}
	if left := watch(); left != 1 {
		t.Errorf("after a sale by the other replica, Watch said %d left, want 1", left)
	}

	client.CloseIdleConnections()
	interrupt() // with the stream still open
	select {
	case status := <-ended:
		if status != exitOK || stderr.String() != "" {
			t.Errorf("exit status %d, stderr %q; want a clean end", status, stderr.String())
		}
	case <-time.After(time.Minute):
		t.Fatal("serve does not end")
	}
	if !strings.Contains(stdout.String(), "4 sold, 1 left.") {
		t.Errorf("the books are not closed in:\n%s", stdout.String())
	}
}

// watchStock opens a Watch stream, and returns a function that waits for its
// next message.
func watchStock(t *testing.T, addr string) func() int32 {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	stream, err := shoppb.NewShopClient(conn).Watch(t.Context(), &shoppb.WatchRequest{Item: item})
	if err != nil {
		t.Fatal(err)
	}
	return func() int32 {
		t.Helper()
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return m.GetLeft()
	}
}
