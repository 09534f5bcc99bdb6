package main

import (
	"fmt"

	"github.com/latchkey-go/latchkey/examples/flashsale/internal/crowd"
	"github.com/latchkey-go/latchkey/examples/flashsale/internal/shop"
)

// result is what one mode came to: what the buyers say, and what the books say.
type result struct {
	mode          mode
	units, buyers int
	tally         crowd.Tally
	books         shop.Books
	commands      int64  // that Redis ran, or unknown
	trouble       error  // what else went wrong, beside the sale
	longest       string // the story of the longest wait for the lock
	faults        *faults
}

// unknown is a number of commands that nobody is left to tell.
const unknown = -1

// oversold is how many units were sold that there were not.
func (r result) oversold() int { return max(0, r.books.Sold-r.units) }

// stockWrongBy is how far the stock and the orders disagree: by the sales that
// a blind write has erased, most of all.
func (r result) stockWrongBy() int {
	d := r.books.Sold - (r.units - r.books.Stock)
	return max(d, -d)
}

// lostOrders is how many buyers were told an order number under which the books
// have no order of theirs.
func (r result) lostOrders() int {
	n := 0
	for _, receipt := range r.tally.Receipts {
		if !r.books.Has(receipt.OrderID, receipt.Buyer) {
			n++
		}
	}
	return n
}

// brokenPromises lists what must not happen under a lock and has.
func (r result) brokenPromises() []string {
	var broken []string
	promise := func(fault string, n int) {
		if n > 0 {
			broken = append(broken, fmt.Sprintf("%s %s", fault, thousands(n)))
		}
	}
	promise("oversold", r.oversold())
	promise("stock wrong by", r.stockWrongBy())
	promise("receipts without an order", r.lostOrders())
	promise("repeated order IDs", r.books.RepeatedIDs)
	return broken
}
