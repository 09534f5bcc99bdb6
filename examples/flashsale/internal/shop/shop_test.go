package shop_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/examples/flashsale/internal/shop"
	"github.com/latchkey-go/latchkey/idgen"
)

const item = "gopher"

func TestAPurchaseLowersTheStockAndWritesOneOrder(t *testing.T) {
	db := open(t, 5)
	s := shop.New(db, &counter{}, atOnce)

	r, err := s.Buy(t.Context(), shop.Purchase{Item: item, Buyer: "ann", Quantity: 2}, shop.Unfenced)
	if err != nil {
		t.Fatal(err)
	}
	if want := (shop.Receipt{OrderID: 1, Left: 3}); r != want {
		t.Errorf("receipt = %+v, want %+v", r, want)
	}
	b := look(t, db)
	if b.Stock != 3 || b.Sold != 2 || b.Orders != 1 || b.RepeatedIDs != 0 {
		t.Errorf("books = %+v, want 3 left, 2 sold in 1 order", b)
	}
	if !b.Has(1, "ann") || b.Has(1, "bob") || b.Has(2, "ann") {
		t.Error("the books do not tell Ann's order 1 from others")
	}
}

func TestWhatCannotBeSoldLeavesTheBooksAlone(t *testing.T) {
	idle := errors.New("no more IDs")
	for name, c := range map[string]struct {
		purchase shop.Purchase
		ids      shop.OrderIDs
		want     error
		soldOut  bool
	}{
		"more than there is":  {purchase: shop.Purchase{Item: item, Quantity: 6}, soldOut: true},
		"an unknown item":     {purchase: shop.Purchase{Item: "ferret", Quantity: 1}, want: shop.ErrUnknownItem},
		"nothing":             {purchase: shop.Purchase{Item: item, Quantity: 0}, want: shop.ErrQuantity},
		"less than nothing":   {purchase: shop.Purchase{Item: item, Quantity: -1}, want: shop.ErrQuantity},
		"without an order ID": {purchase: shop.Purchase{Item: item, Quantity: 1}, ids: noIDs{idle}, want: idle},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t, 5)
			if c.ids == nil {
				c.ids = &counter{}
			}
			r, err := shop.New(db, c.ids, atOnce).Buy(t.Context(), c.purchase, shop.Fenced(1))
			if !errors.Is(err, c.want) || r.SoldOut != c.soldOut || r.OrderID != 0 {
				t.Errorf("Buy = %+v, %v; want error %v, sold out %v", r, err, c.want, c.soldOut)
			}
			if b := look(t, db); b.Stock != 5 || b.Orders != 0 {
				t.Errorf("books = %+v, want them untouched", b)
			}
		})
	}
}

func TestUnfencedBuyersWhoReadTheSameStockAllGetTheLastOne(t *testing.T) {
	const buyers = 8
	db := open(t, 1)
	s := shop.New(db, &counter{}, untilAllHaveRead(buyers))

	var wg sync.WaitGroup
	for range buyers {
		wg.Go(func() {
			if _, err := s.Buy(t.Context(), shop.Purchase{Item: item, Buyer: "b", Quantity: 1}, shop.Unfenced); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if b := look(t, db); b.Stock != 0 || b.Sold != buyers {
		t.Errorf("stock %d, sold %d; the flaw should sell all %d and end at 0", b.Stock, b.Sold, buyers)
	}
}

// A holder that is stopped between its read and its write, and overtaken
// meanwhile, is the case that no lock can prevent and that fencing is for.
func TestAStaleTokenIsRefusedAndLeavesNoOrder(t *testing.T) {
	for name, c := range map[string]struct{ stale, fresh uint64 }{
		"a lower token":     {stale: 41, fresh: 42},
		"the same token":    {stale: 42, fresh: 42},
		"a token of months": {stale: 1_790_000_000_000_000, fresh: 1_790_000_000_000_001},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t, 5)
			paused, resume := make(chan struct{}), make(chan struct{})
			slow := shop.New(db, &counter{}, func(context.Context) error {
				close(paused)
				<-resume
				return nil
			})
			refused := make(chan error, 1)
			go func() {
				_, err := slow.Buy(t.Context(), shop.Purchase{Item: item, Buyer: "slow", Quantity: 1}, shop.Fenced(c.stale))
				refused <- err
			}()
			<-paused
			quick := shop.New(db, &counter{}, atOnce)
			if _, err := quick.Buy(t.Context(), shop.Purchase{Item: item, Buyer: "quick", Quantity: 3}, shop.Fenced(c.fresh)); err != nil {
				t.Fatal(err)
			}
			close(resume)

			if err := <-refused; !errors.Is(err, core.ErrStale) {
				t.Errorf("the overtaken buyer got %v, want core.ErrStale", err)
			}
			if b := look(t, db); b.Stock != 2 || b.Sold != 3 || b.Orders != 1 {
				t.Errorf("books = %+v, want only the quick buyer's order", b)
			}
		})
	}
}

func TestRepeatedOrderIDsAreSeen(t *testing.T) {
	db := open(t, 5)
	s := shop.New(db, sameID{}, atOnce)
	for range 3 {
		if _, err := s.Buy(t.Context(), shop.Purchase{Item: item, Buyer: "b", Quantity: 1}, shop.Unfenced); err != nil {
			t.Fatal(err)
		}
	}
	if b := look(t, db); b.Orders != 3 || b.RepeatedIDs != 2 {
		t.Errorf("books = %+v, want 3 orders of which 2 repeat an ID", b)
	}
}

func open(t *testing.T, stock int) *sql.DB {
	t.Helper()
	// The name is one that a URI must escape.
	db, err := shop.Create(t.Context(), filepath.Join(t.TempDir(), "the shop's 50%?.db"), item, stock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func look(t *testing.T, db *sql.DB) shop.Books {
	t.Helper()
	b, err := shop.Look(t.Context(), db, item)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func atOnce(context.Context) error { return nil }

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

type counter struct{ last atomic.Int64 }

func (c *counter) Next(context.Context) (idgen.ID, error) { return idgen.ID(c.last.Add(1)), nil }

type sameID struct{}

func (sameID) Next(context.Context) (idgen.ID, error) { return 7, nil }

type noIDs struct{ err error }

func (n noIDs) Next(context.Context) (idgen.ID, error) { return 0, n.err }
