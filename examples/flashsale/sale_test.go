package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/examples/flashsale/internal/crowd"
	"github.com/latchkey-go/latchkey/examples/flashsale/internal/shop"
)

func testConfig(think shop.Thinking) config {
	c := config{buyers: 40, units: 10, inFlight: 8, box: 20 * time.Second, think: think}
	for i := range replicas {
		c.httpAddrs[i], c.grpcAddrs[i] = anyPort, anyPort
	}
	return c
}

func embeddedRedis(t *testing.T) *redisServer {
	t.Helper()
	r, err := startRedis(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	return r
}

// thinkers counts how many purchases are between their read and their write.
type thinkers struct {
	mu        sync.Mutex
	now, most int
}

func (th *thinkers) think(ctx context.Context) error {
	th.add(1)
	defer th.add(-1)
	return shop.ThinkFor(time.Millisecond)(ctx)
}

func (th *thinkers) add(n int) {
	th.mu.Lock()
	defer th.mu.Unlock()
	th.now += n
	th.most = max(th.most, th.now)
}

func TestUnderALockOnePurchaseAtATimeRunsOverBothTransportsAndReplicas(t *testing.T) {
	for _, m := range []mode{modeRecipe, modeLatchkey} {
		t.Run(string(m), func(t *testing.T) {
			var th thinkers
			c := testConfig(th.think)
			r, err := holdSale(t.Context(), c, m, embeddedRedis(t), newProgress(io.Discard, m, c.buyers))
			if err != nil {
				t.Fatal(err)
			}
			if th.most != 1 {
				t.Errorf("%d purchases at once, want 1", th.most)
			}
			if broken := r.brokenPromises(); len(broken) > 0 {
				t.Errorf("broken promises: %q", broken)
			}
			if sold, soldOut := r.tally.Count[crowd.Sold], r.tally.Count[crowd.SoldOut]; sold != c.units || soldOut != c.buyers-c.units {
				t.Errorf("%d sold, %d sold out, of %d units to %d buyers; tally %+v", sold, soldOut, c.units, c.buyers, r.tally)
			}
			if r.books.Orders != c.units || r.books.Stock != 0 {
				t.Errorf("books: %d orders, %d left", r.books.Orders, r.books.Stock)
			}
			if (r.longest != "") != (m == modeLatchkey) {
				t.Errorf("the longest wait is explained as %q", r.longest)
			}
		})
	}
}

func TestWithoutALockTheLastUnitIsSoldToAllWhoHaveReadTheStock(t *testing.T) {
	const buyers = 4 // one through each door
	c := testConfig(untilAllHaveRead(buyers))
	c.buyers, c.inFlight, c.units = buyers, buyers, 1
	r, err := holdSale(t.Context(), c, modeNone, embeddedRedis(t), newProgress(io.Discard, modeNone, buyers))
	if err != nil {
		t.Fatal(err)
	}
	if r.oversold() != buyers-1 || r.stockWrongBy() != buyers-1 || r.tally.Count[crowd.Sold] != buyers {
		t.Errorf("oversold %d, stock wrong by %d, tally %+v; want %d buyers of 1 unit", r.oversold(), r.stockWrongBy(), r.tally, buyers)
	}
	if r.lostOrders() != 0 || r.books.RepeatedIDs != 0 {
		t.Errorf("lost orders %d, repeated IDs %d: the order IDs need no lock", r.lostOrders(), r.books.RepeatedIDs)
	}
}

// untilAllHaveRead lets nobody write before n have read.
func untilAllHaveRead(n int32) shop.Thinking {
	var read atomic.Int32
	all := make(chan struct{})
	return func(ctx context.Context) error {
		if read.Add(1) == n {
			close(all)
		}
		select {
		case <-all:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// While a purchase thinks, a later holder changes the item: what happens when a
// process is stopped for longer than its lease. The stale one is refused by the
// database, and the client is told so.
func TestAStalePurchaseIsRefusedOverBothTransports(t *testing.T) {
	for name, door := range map[string]int{"HTTP": 0, "gRPC": 1} {
		t.Run(name, func(t *testing.T) {
			var f *shopFloor
			c := testConfig(func(ctx context.Context) error { return overtake(ctx, f.database) })
			f, err := openShop(t.Context(), c, modeLatchkey, embeddedRedis(t))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := f.close(); err != nil {
					t.Error(err)
				}
			})
			doors, closeDoors, err := openDoors(f.replicas, 1)
			if err != nil {
				t.Fatal(err)
			}
			answer := doors[door].Buy(t.Context(), item, "slow")
			closeDoors()
			if want := (crowd.Answer{Outcome: crowd.Denied, Reason: string(core.ReasonStale)}); answer != want {
				t.Errorf("answer = %+v, want %+v", answer, want)
			}
			if err := f.drain(); err != nil {
				t.Fatal(err)
			}
			b, err := f.books()
			if err != nil || b.Orders != 0 || b.Stock != 3 {
				t.Errorf("books = %+v, %v; want no order, and the later holder's stock", b, err)
			}
		})
	}
}

// overtake sells for a holder with the next token.
func overtake(ctx context.Context, database string) error {
	db, err := shop.Open(database)
	if err != nil {
		return err
	}
	defer db.Close()
	lock, ok := core.FromContext(ctx)
	if !ok {
		return errNoLock
	}
	_, err = db.ExecContext(ctx, `UPDATE items SET stock = 3, fence = ? WHERE id = ?`, int64(lock.Token()+1), item)
	return err
}

func TestWhatTheShopRefusesIsAClientErrorOverBothTransports(t *testing.T) {
	for _, m := range allModes {
		t.Run(string(m), func(t *testing.T) {
			f, err := openShop(t.Context(), testConfig(shop.ThinkFor(time.Millisecond)), m, embeddedRedis(t))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := f.close(); err != nil {
					t.Error(err)
				}
			})
			client := crowd.NewHTTPClient(1)
			defer client.CloseIdleConnections()
			base := "http://" + f.replicas[0].httpAddr()
			for _, c := range []struct {
				path, body string
				want       int
			}{
				{"/items/gopher/orders", `{"buyer":"ann","quantity":1}`, http.StatusOK},
				{"/items/ferret/orders", `{"buyer":"ann","quantity":1}`, http.StatusNotFound},
				{"/items/gopher/orders", `{"buyer":"ann"}`, http.StatusBadRequest},
				{"/items/gopher/orders", `{"buyer":`, http.StatusBadRequest},
			} {
				if got := post(t, client, base+c.path, c.body); got != c.want {
					t.Errorf("POST %s %s: status %d, want %d", c.path, c.body, got, c.want)
				}
			}
			if n := f.faults.count; n != 0 {
				t.Errorf("%d internal errors, the first: %v", n, f.faults.first)
			}
		})
	}
}

func TestClosingAShopRemovesItsDatabaseAndMayBeRepeated(t *testing.T) {
	f, err := openShop(t.Context(), testConfig(shop.ThinkFor(time.Millisecond)), modeLatchkey, embeddedRedis(t))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := f.close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(f.dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there (%v)", f.dir, err)
		}
	}
}
