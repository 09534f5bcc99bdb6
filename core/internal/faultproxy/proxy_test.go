package faultproxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/latchkey-go/latchkey/core/internal/faultproxy"
)

// patience bounds what must happen; nothing waits for it to pass.
const patience = 10 * time.Second

const (
	ping = "*1\r\n$4\r\nPING\r\n"
	pong = "+PONG\r\n"
)

func request(args ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	return b.String()
}

// start returns a server, a proxy before it and a client of the proxy that
// never tries twice.
func start(t *testing.T) (*miniredis.Miniredis, *faultproxy.Proxy, *redis.Client) {
	t.Helper()
	server := miniredis.RunT(t)
	proxy := faultproxy.New(t, server.Addr())
	return server, proxy, client(t, proxy)
}

func client(t *testing.T, proxy *faultproxy.Proxy) *redis.Client {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{
		Addr: proxy.Addr(), MaxRetries: -1, DialerRetries: 1, PoolSize: 1,
		ContextTimeoutEnabled:    true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// dial returns a bare connection to the proxy that has been answered once.
func dial(t *testing.T, proxy *faultproxy.Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", proxy.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	ask(t, c, ping, pong)
	return c
}

func ask(t *testing.T, c net.Conn, request, want string) {
	t.Helper()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	expect(t, c, want)
}

func expect(t *testing.T, c net.Conn, want string) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

// readError returns the error of the next read, within patience.
func readError(c net.Conn, within time.Duration) error {
	_ = c.SetReadDeadline(time.Now().Add(within))
	_, err := c.Read(make([]byte, 1))
	return err
}

func TestWithoutFaultsEverythingPasses(t *testing.T) {
	_, _, rdb := start(t)
	ctx := t.Context()
	large := strings.Repeat("0123456789abcdef", 1<<16) // more than any buffer
	if err := rdb.Set(ctx, "k", large, 0).Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := rdb.Get(ctx, "k").Result(); err != nil || got != large {
		t.Fatalf("GET = %d bytes, %v; want %d", len(got), err, len(large))
	}
	sub := rdb.Subscribe(ctx, "c")
	defer sub.Close()
	if _, err := sub.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	if n, err := rdb.Publish(ctx, "c", "hello").Result(); err != nil || n != 1 {
		t.Fatalf("PUBLISH = %d, %v; want one listener", n, err)
	}
	if msg, err := sub.ReceiveMessage(ctx); err != nil || msg.Payload != "hello" {
		t.Fatalf("received %v, %v; want hello", msg, err)
	}
}

func TestDropRepliesCarriesTheRequestOutAndLosesTheReply(t *testing.T) {
	server, proxy, rdb := start(t)
	ctx := t.Context()
	dropped := proxy.DropReplies(2, faultproxy.Contains("INCRBY"))

	if err := rdb.Set(ctx, "other", "1", 0).Err(); err != nil {
		t.Fatalf("a request that does not match: %v", err)
	}
	for want := 1; want <= 2; want++ {
		if err := rdb.IncrBy(ctx, "n", 1).Err(); !errors.Is(err, io.EOF) {
			t.Fatalf("INCRBY = %v; want EOF", err)
		}
		if got := dropped(); got != want {
			t.Fatalf("dropped = %d; want %d", got, want)
		}
	}
	if n, err := rdb.IncrBy(ctx, "n", 1).Result(); err != nil || n != 3 {
		t.Fatalf("the third INCRBY = %d, %v; want 3, as all were carried out", n, err)
	}
	if got, _ := server.Get("n"); got != "3" {
		t.Fatalf("n = %q; want 3", got)
	}
}

func TestDropRepliesOfAPipelineDeliversTheEarlierOnes(t *testing.T) {
	server, proxy, _ := start(t)
	c := dial(t, proxy)
	dropped := proxy.DropReplies(1, faultproxy.Contains("second"))
	ask(t, c, request("SET", "first", "1")+request("SET", "second", "2")+request("SET", "third", "3"), "+OK\r\n")
	if err := readError(c, patience); !errors.Is(err, io.EOF) {
		t.Fatalf("the second reply: %v; want EOF", err)
	}
	if dropped() != 1 || !server.Exists("second") {
		t.Errorf("dropped = %d, carried out: %t; want one that was", dropped(), server.Exists("second"))
	}
}

func TestDropRepliesOfASubscription(t *testing.T) {
	_, proxy, rdb := start(t)
	ctx := t.Context()
	dropped := proxy.DropReplies(1, faultproxy.Contains("subscribe"))
	sub := rdb.Subscribe(ctx, "c")
	defer sub.Close()
	if _, err := sub.Receive(ctx); !errors.Is(err, io.EOF) {
		t.Fatalf("Receive = %v; want EOF", err)
	}
	if dropped() != 1 {
		t.Fatalf("dropped = %d; want 1", dropped())
	}
}

func TestDelayRepliesHoldsABurstOnce(t *testing.T) {
	_, proxy, _ := start(t)
	c := dial(t, proxy)
	const delay, n = 50 * time.Millisecond, 100
	proxy.DelayReplies(delay)
	begin := time.Now()
	ask(t, c, strings.Repeat(ping, n), strings.Repeat(pong, n))
	if took := time.Since(begin); took < delay || took > n*delay/2 {
		t.Fatalf("%d replies took %v; want at least %v, and not that for each", n, took, delay)
	}
	proxy.DelayReplies(0)
	ask(t, c, ping, pong)
}

func TestStallKeepsConnectionsOpenAndDeliversLate(t *testing.T) {
	server, proxy, _ := start(t)
	c := dial(t, proxy)
	proxy.Stall()
	if _, err := io.WriteString(c, request("SET", "k", "v")); err != nil {
		t.Fatal(err)
	}
	late, err := net.Dial("tcp", proxy.Addr())
	if err != nil {
		t.Fatalf("a new connection while stalled: %v", err)
	}
	defer late.Close()
	if _, err := io.WriteString(late, ping); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{c, late} {
		if err := readError(c, 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("read while stalled = %v; want no answer on an open connection", err)
		}
	}
	if server.Exists("k") {
		t.Fatal("a request passed while stalled")
	}
	proxy.Resume()
	expect(t, c, "+OK\r\n")
	expect(t, late, pong)
	if !server.Exists("k") {
		t.Fatal("the request was not delivered after Resume")
	}
}

func TestCutAllResetsConnections(t *testing.T) {
	_, proxy, _ := start(t)
	for name, prepare := range map[string]func(){
		"idle":    func() {},
		"stalled": proxy.Stall,
	} {
		t.Run(name, func(t *testing.T) {
			defer proxy.Heal()
			a, b := dial(t, proxy), dial(t, proxy)
			prepare()
			if n := proxy.CutAll(); n != 2 {
				t.Fatalf("CutAll = %d; want 2", n)
			}
			for _, c := range []net.Conn{a, b} {
				if err := readError(c, patience); !errors.Is(err, syscall.ECONNRESET) {
					t.Fatalf("read = %v; want a reset", err)
				}
			}
			awaitConnections(t, proxy, 0)
			proxy.Heal()
			dial(t, proxy)
			proxy.CutAll()
			awaitConnections(t, proxy, 0)
		})
	}
}

// awaitConnections returns when the proxy has closed all but n connections.
func awaitConnections(t *testing.T, proxy *faultproxy.Proxy, n int) {
	t.Helper()
	for deadline := time.Now().Add(patience); proxy.Connections() != n; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections; want %d", proxy.Connections(), n)
		}
	}
}

func TestCutMatchingSparesOtherConnections(t *testing.T) {
	_, proxy, _ := start(t)
	other, sub := dial(t, proxy), dial(t, proxy)
	ask(t, sub, request("subscribe", "c"), "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n")
	const subPong = "*2\r\n$4\r\npong\r\n$0\r\n\r\n"
	for range 200 { // the request that counts stays known
		ask(t, sub, ping, subPong)
	}
	if n := proxy.CutMatching(faultproxy.Contains("SUBSCRIBE")); n != 1 {
		t.Fatalf("CutMatching = %d; want 1", n)
	}
	if err := readError(sub, patience); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("read = %v; want a reset", err)
	}
	ask(t, other, ping, pong)
}

func TestBlockRefusesNewConnectionsOnly(t *testing.T) {
	_, proxy, _ := start(t)
	c := dial(t, proxy)
	proxy.Block()
	refused, err := net.Dial("tcp", proxy.Addr())
	if err == nil { // the reset may also be seen by the read
		defer refused.Close()
		err = readError(refused, patience)
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("a new connection: %v; want a reset", err)
	}
	ask(t, c, ping, pong)
	proxy.Unblock()
	dial(t, proxy)
}

func TestHealEndsEveryFault(t *testing.T) {
	_, proxy, rdb := start(t)
	dropped := proxy.DropReplies(-1, nil)
	proxy.DelayReplies(time.Hour)
	proxy.Stall()
	proxy.Block()
	proxy.Heal()
	if err := rdb.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if dropped() != 0 {
		t.Fatalf("dropped = %d; want none", dropped())
	}
}

func TestAServerThatIsGoneClosesTheConnection(t *testing.T) {
	server, proxy, _ := start(t)
	c := dial(t, proxy)
	server.Close()
	if err := readError(c, patience); !errors.Is(err, io.EOF) {
		t.Fatalf("read = %v; want EOF", err)
	}
	fresh, err := net.Dial("tcp", proxy.Addr())
	if err == nil {
		defer fresh.Close()
		err = readError(fresh, patience)
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("a new connection: %v; want a reset", err)
	}
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	_, proxy, _ := start(t)
	held := dial(t, proxy)
	dial(t, proxy) // idle
	proxy.DelayReplies(time.Hour)
	if _, err := io.WriteString(held, ping); err != nil {
		t.Fatal(err)
	}
	proxy.Stall()
	waiting, err := net.Dial("tcp", proxy.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	closed := make(chan struct{})
	go func() { proxy.Close(); close(closed) }()
	select {
	case <-closed:
	case <-ctx.Done():
		t.Fatal("Close does not return")
	}
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	if text := string(stacks); strings.Contains(text, "faultproxy.(*Proxy)") || strings.Contains(text, "faultproxy.(*link)") {
		t.Fatalf("goroutines left:\n%s", text)
	}
	proxy.Close()
}
