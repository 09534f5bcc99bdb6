package demo_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/latchkey-go/latchkey/examples/internal/demo"
)

func TestTheEmbeddedRedisForgetsByTheClock(t *testing.T) {
	rdb, stop, err := demo.StartRedis(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if err := rdb.Set(t.Context(), "key", "value", time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); rdb.Exists(t.Context(), "key").Val() != 0; {
		if time.Since(began) > 10*time.Second {
			t.Fatal("it is still there")
		}
	}
	if err := rdb.Ping(t.Context()).Err(); err != nil {
		t.Errorf("gone because Redis is: %v", err)
	}
}

func TestStoppingEndsTheClientAndTheEmbeddedRedis(t *testing.T) {
	rdb, stop, err := demo.StartRedis(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	addr := rdb.Options().Addr
	stop()
	if err := rdb.Ping(t.Context()).Err(); err == nil {
		t.Error("the client still works")
	}
	if conn, err := net.Dial("tcp", addr); err == nil {
		_ = conn.Close()
		t.Error("the embedded Redis still listens")
	}
}

func TestARedisThatRunsIsUsedAndLeftRunning(t *testing.T) {
	other := miniredis.RunT(t)
	other.RequireAuth("password")
	url := "redis://:password@" + other.Addr()
	for db, addr := range []string{url, url + "/1", ""} {
		if addr == "" {
			other.RequireAuth("")
			addr, db = other.Addr(), 0
		}
		rdb, stop, err := demo.StartRedis(t.Context(), addr)
		if err != nil {
			t.Fatal(err)
		}
		if err := rdb.Set(t.Context(), "key", addr, 0).Err(); err != nil {
			t.Error(err)
		}
		stop()
		if got, err := other.DB(db).Get("key"); err != nil || got != addr {
			t.Errorf("the other Redis has %q, %v", got, err)
		}
	}
	if conn, err := net.Dial("tcp", other.Addr()); err != nil {
		t.Errorf("it does not run any more: %v", err)
	} else {
		_ = conn.Close()
	}
}

func TestARedisThatCannotBeReachedIsAnErrorOfOneLine(t *testing.T) {
	hangs, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hangs.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	for name, addr := range map[string]string{
		"nobody listens": gone.Addr().String(),
		"it hangs":       hangs.Addr().String(),
		"no address":     "nowhere",
		"no URL":         "redis://:secret@127.0.0.1:port",
		"another's URL":  "http://:secret@127.0.0.1",
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			rdb, stop, err := demo.StartRedis(t.Context(), addr)
			if err == nil || rdb != nil || stop != nil {
				t.Fatalf("got a client, or no error: %v", err)
			}
			if said := err.Error(); !strings.HasPrefix(said, "no Redis") || strings.Contains(said, "\n") || strings.Contains(said, "secret") {
				t.Errorf("said %q", said)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}
