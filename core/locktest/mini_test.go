package locktest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core/locktest"
)

func TestMiniWorksInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		m := locktest.StartMini(t)
		rdb := m.Client(nil)
		other := m.Client(nil)

		if err := rdb.Set(ctx, "k", "v", time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		got, err := rdb.Eval(ctx, `return redis.call('PTTL', KEYS[1])`, []string{"k"}).Int()
		if err != nil || got != int(time.Hour.Milliseconds()) {
			t.Fatalf("PTTL = %d, %v; want the hour just set", got, err)
		}

		sub := rdb.Subscribe(ctx, "c")
		defer sub.Close()
		if _, err := sub.Receive(ctx); err != nil {
			t.Fatal(err)
		}
		if n, err := other.Publish(ctx, "c", "hello").Result(); err != nil || n != 1 {
			t.Fatalf("PUBLISH = %d, %v; want one listener", n, err)
		}
		if msg, err := sub.ReceiveMessage(ctx); err != nil || msg.Payload != "hello" {
			t.Fatalf("received %v, %v; want hello", msg, err)
		}

		time.Sleep(time.Hour) // the bubble's clock, at no cost
		if n := rdb.Exists(ctx, "k").Val(); n != 0 {
			t.Fatalf("EXISTS = %d after the TTL; want 0", n)
		}
	})
}
