package shop

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/idgen"
)

// What a purchase can fail with, besides [core.ErrStale] and the database's
// own errors. Nothing has been sold then.
var (
	// ErrUnknownItem: the shop does not sell this.
	ErrUnknownItem = errors.New("shop: unknown item")
	// ErrQuantity: the quantity is not positive.
	ErrQuantity = errors.New("shop: the quantity must be at least 1")
)

// OrderIDs makes order numbers that no other replica makes.
type OrderIDs interface {
	Next(ctx context.Context) (idgen.ID, error)
}

// Thinking is what the shop does between reading the stock and writing it
// back: ask for a payment, check the buyer.
type Thinking func(ctx context.Context) error

// ThinkFor thinks for d, or until ctx ends.
func ThinkFor(d time.Duration) Thinking {
	return func(ctx context.Context) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Shop sells. It is safe for concurrent use in the sense that nothing crashes;
// that nothing is sold twice is up to the lock around Buy.
type Shop struct {
	db    *sql.DB
	ids   OrderIDs
	think Thinking
}

// New returns a shop that sells out of db, which stays the caller's to close.
func New(db *sql.DB, ids OrderIDs, think Thinking) *Shop {
	return &Shop{db: db, ids: ids, think: think}
}

// Purchase is what a buyer asks for.
type Purchase struct {
	Item      string
	Buyer     string
	Quantity  int
	RequestID string
}

// Receipt is what a buyer gets.
type Receipt struct {
	OrderID int64
	// Left is the stock after this purchase, as this purchase saw it.
	Left int
	// SoldOut: there was not enough left, and nothing was sold.
	SoldOut bool
}

// Fence is the fencing token that a purchase is made under.
type Fence struct {
	token uint64
	on    bool
}

// Unfenced is for a purchase that has no token. The database then takes its
// word for what the stock is.
var Unfenced = Fence{}

// Fenced is for a purchase under a lock with this token: the database refuses
// it once a later holder has changed the item.
func Fenced(token uint64) Fence { return Fence{token: token, on: true} }

// Token is the fencing token, zero if there is none.
func (f Fence) Token() uint64 { return f.token }

// Buy sells p.Quantity of p.Item: read, check, think, write. The write, which
// is the new stock and the order's row together, happens as a whole or not at
// all. An error that matches [core.ErrStale] says that the fencing token was
// refused.
func (s *Shop) Buy(ctx context.Context, p Purchase, fence Fence) (Receipt, error) {
	if p.Quantity < 1 {
		return Receipt{}, ErrQuantity
	}
	stock, err := s.Stock(ctx, p.Item)
	if err != nil {
		return Receipt{}, err
	}
	if stock < p.Quantity {
		return Receipt{Left: stock, SoldOut: true}, nil
	}
	if err := s.think(ctx); err != nil {
		return Receipt{}, fmt.Errorf("shop: think: %w", err)
	}
	id, err := s.ids.Next(ctx)
	if err != nil {
		return Receipt{}, fmt.Errorf("shop: order ID: %w", err)
	}
	r := Receipt{OrderID: int64(id), Left: stock - p.Quantity}
	if err := s.write(ctx, p, r, fence); err != nil {
		return Receipt{}, err
	}
	return r, nil
}

// Stock returns how many of item are left.
func (s *Shop) Stock(ctx context.Context, item string) (int, error) {
	var stock int
	err := s.db.QueryRowContext(ctx, `SELECT stock FROM items WHERE id = ?`, item).Scan(&stock)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, ErrUnknownItem
	}
	if err != nil {
		return 0, fmt.Errorf("shop: read stock: %w", err)
	}
	return stock, nil
}

func (s *Shop) write(ctx context.Context, p Purchase, r Receipt, fence Fence) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("shop: begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	if err := setStock(ctx, tx, p.Item, r.Left, fence); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx,
		`INSERT INTO orders (order_id, item, buyer, quantity, request_id) VALUES (?, ?, ?, ?, ?)`,
		r.OrderID, p.Item, p.Buyer, p.Quantity, p.RequestID)
	if err != nil {
		return fmt.Errorf("shop: write order: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("shop: commit: %w", err)
	}
	return nil
}

// setStock writes the stock blindly, that is without regard to what it is by
// now. The fence is the one condition, and it is all that it takes: each
// holder's token is higher than those of all holders before it, so a token
// that is not higher than the row's belongs to a holder that has been
// overtaken (Kleppmann, "How to do distributed locking", 2016). A token buys
// once, so an equal one is refused too.
func setStock(ctx context.Context, tx *sql.Tx, item string, stock int, fence Fence) error {
	if !fence.on {
		_, err := tx.ExecContext(ctx, `UPDATE items SET stock = ? WHERE id = ?`, stock, item)
		if err != nil {
			return fmt.Errorf("shop: write stock: %w", err)
		}
		return nil
	}
	// SQLite's integers are signed; a token is microseconds since 1970 or a
	// little more, and fits for the next 290,000 years.
	token := int64(fence.token)
	result, err := tx.ExecContext(ctx,
		`UPDATE items SET stock = ?, fence = ? WHERE id = ? AND fence < ?`, stock, token, item, token)
	if err != nil {
		return fmt.Errorf("shop: write stock: %w", err)
	}
	changed, err := result.RowsAffected()
	if err != nil {
		return fmt.Errorf("shop: write stock: %w", err)
	}
	if changed == 0 {
		return fmt.Errorf("shop: token %d: %w", fence.token, core.ErrStale)
	}
	return nil
}
