package shop

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
)

// Books are what the database says was sold of one item, when all is over.
type Books struct {
	// Stock is what it says is left.
	Stock int
	// Sold is the quantity in all orders, Orders the number of their rows.
	Sold, Orders int
	// RepeatedIDs is how many orders bear an ID that an earlier one has.
	RepeatedIDs int

	buyers map[int64][]string
}

// Look reads the books on item.
func Look(ctx context.Context, db *sql.DB, item string) (Books, error) {
	b := Books{buyers: make(map[int64][]string)}
	err := db.QueryRowContext(ctx, `SELECT stock FROM items WHERE id = ?`, item).Scan(&b.Stock)
	if err != nil {
		return Books{}, fmt.Errorf("shop: read stock: %w", err)
	}
	rows, err := db.QueryContext(ctx, `SELECT order_id, buyer, quantity FROM orders WHERE item = ?`, item)
	if err != nil {
		return Books{}, fmt.Errorf("shop: read orders: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var buyer string
		var quantity int
		if err := rows.Scan(&id, &buyer, &quantity); err != nil {
			return Books{}, fmt.Errorf("shop: read orders: %w", err)
		}
		b.add(id, buyer, quantity)
	}
	if err := rows.Err(); err != nil {
		return Books{}, fmt.Errorf("shop: read orders: %w", err)
	}
	return b, nil
}

func (b *Books) add(id int64, buyer string, quantity int) {
	if len(b.buyers[id]) > 0 {
		b.RepeatedIDs++
	}
	b.buyers[id] = append(b.buyers[id], buyer)
	b.Orders++
	b.Sold += quantity
}

// Has says whether there is an order with this ID for this buyer.
func (b Books) Has(id int64, buyer string) bool {
	return slices.Contains(b.buyers[id], buyer)
}
