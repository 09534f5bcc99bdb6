// Package payment is one payment per order, for good: a lock for the order, a
// database that checks the lock's fencing token, and a bank that is told which
// order it charges for.
//
// The lock alone makes submits take turns. That a second one finds the order paid,
// and is given the receipt of the first, is the database's doing; that a holder
// which was paused until its lease had expired cannot write any more, is the
// token's. What that one may have asked of the bank is the one thing left, and is
// what the bank's own idempotency key is for.
package payment

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/httpmw"
)

// Schema is the table of payments. The fence is the highest fencing token that has
// been at work on the row; an order that is paid has a receipt.
const Schema = `CREATE TABLE payments (
	order_id TEXT PRIMARY KEY,
	fence    INTEGER NOT NULL,
	receipt  TEXT NOT NULL DEFAULT ''
)`

// Bank charges for an order and returns the receipt. For an order that it has
// charged for already, it returns the same receipt again.
type Bank func(ctx context.Context, order string) (receipt string, err error)

// NewHandler serves POST /orders/{id}/payment. Of db it needs the table of
// [Schema].
func NewHandler(locker core.Locker, db *sql.DB, charge Bank) (http.Handler, error) {
	lock, err := httpmw.New(locker, httpmw.Key("order:{path.id}"), httpmw.Wait(2*time.Second))
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("POST /orders/{id}/payment", lock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		held, _ := core.FromContext(r.Context()) // always there: the route fails closed
		receipt, err := pay(r.Context(), db, charge, r.PathValue("id"), held.Token())
		banks := errors.Is(err, errBank) // whatever is wrapped in its error, a lock's of its own included
		switch denial := core.Denied(err); {
		case err == nil:
			fmt.Fprintln(w, receipt)
		case denial != nil && !banks: // core.ErrStale: 409 and LOCK_STALE
			httpmw.WriteDenial(w, r, denial)
		case r.Context().Err() != nil:
			// The client has gone, or the lock is lost: then the middleware answers.
		case banks:
			http.Error(w, "the bank has failed, and may have charged; to submit again does not charge twice", http.StatusBadGateway)
		default:
			http.Error(w, "internal error", http.StatusInternalServerError)
		}
	})))
	return mux, nil
}

// errBank says that it was the bank that failed. It is no denial: the handler ran.
var errBank = errors.New("payment: the bank has failed")

// pay returns the receipt of an order, which is charged for if it is not paid. An
// error that matches [core.ErrStale] says that a later holder of the lock is at
// work, or has been.
func pay(ctx context.Context, db *sql.DB, charge Bank, order string, token uint64) (string, error) {
	// From here on no earlier holder can write: what is read next stays true.
	err := change(ctx, db, `INSERT INTO payments (fence, order_id) VALUES (?1, ?2)
		ON CONFLICT (order_id) DO UPDATE SET fence = ?1 WHERE fence < ?1`, int64(token), order)
	if err != nil {
		return "", err
	}
	var receipt string
	err = db.QueryRowContext(ctx, `SELECT receipt FROM payments WHERE order_id = ?`, order).Scan(&receipt)
	if err != nil || receipt != "" {
		return receipt, err
	}
	if receipt, err = charge(ctx, order); err != nil {
		return "", fmt.Errorf("%w: %w", errBank, err)
	}
	// The money is gone, so this is written down even if the client has left. And
	// if this holder has been overtaken in the meantime, it is refused here.
	ctx = context.WithoutCancel(ctx)
	return receipt, change(ctx, db, `UPDATE payments SET receipt = ?3 WHERE order_id = ?2 AND fence = ?1`,
		int64(token), order, receipt)
}

// change runs a statement that changes one row, unless the row's fence is another.
func change(ctx context.Context, db *sql.DB, statement string, args ...any) error {
	result, err := db.ExecContext(ctx, statement, args...)
	if err != nil {
		return err
	}
	if rows, err := result.RowsAffected(); err != nil || rows > 0 {
		return err
	}
	return fmt.Errorf("payment: fencing token %v: %w", args[0], core.ErrStale)
}
