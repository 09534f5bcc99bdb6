package main

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"github.com/latchkey-go/latchkey/examples/flashsale/internal/crowd"
	"github.com/latchkey-go/latchkey/examples/flashsale/internal/shop"
	"github.com/latchkey-go/latchkey/idgen"
)

func TestEachBrokenPromiseIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		books shop.Books
		want  []string
	}{
		"none":         {shop.Books{Stock: 2, Sold: 8, Orders: 8}, nil},
		"oversold":     {shop.Books{Stock: -2, Sold: 12, Orders: 12}, []string{"oversold 2"}},
		"a lost write": {shop.Books{Stock: 3, Sold: 8, Orders: 8}, []string{"stock wrong by 1"}},
		"a lost order": {shop.Books{Stock: 1, Sold: 8, Orders: 8}, []string{"stock wrong by 1"}},
		"a repeated ID": {
			shop.Books{Stock: 2, Sold: 8, Orders: 8, RepeatedIDs: 1},
			[]string{"repeated order IDs 1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (result{units: 10, books: c.books}).brokenPromises(); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestAReceiptThatTheBooksDoNotHaveIsALostOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	db, err := shop.Create(t.Context(), path, item, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, buyer := range []string{"ann", "bob"} {
		s := shop.New(db, fixedID(7), func(context.Context) error { return nil })
		if _, err := s.Buy(t.Context(), shop.Purchase{Item: item, Buyer: buyer, Quantity: 1}, shop.Unfenced); err != nil {
			t.Fatal(err)
		}
	}
	books, err := shop.Look(t.Context(), db, item)
	if err != nil {
		t.Fatal(err)
	}
	r := result{units: 10, books: books, tally: crowd.Tally{Receipts: []crowd.Receipt{
		{OrderID: 7, Buyer: "ann"}, {OrderID: 7, Buyer: "bob"},
		{OrderID: 7, Buyer: "cyd"}, // the ID is somebody else's
		{OrderID: 8, Buyer: "ann"}, // nobody's
	}}}
	if got := r.lostOrders(); got != 2 {
		t.Errorf("%d lost orders, want 2", got)
	}
}

type fixedID idgen.ID

func (id fixedID) Next(context.Context) (idgen.ID, error) { return idgen.ID(id), nil }
