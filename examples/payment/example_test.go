package payment_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	_ "github.com/ncruces/go-sqlite3/driver" // the "sqlite3" driver, without cgo

	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/examples/payment"
)

// openShop returns a database in memory in which nothing is paid.
func openShop() *sql.DB {
	db, err := sql.Open("sqlite3", ":memory:")
	if err != nil {
		panic(err)
	}
	db.SetMaxOpenConns(1) // each connection has a database of its own
	if _, err := db.Exec(payment.Schema); err != nil {
		panic(err)
	}
	return db
}

func submit(h http.Handler) string {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/orders/42/payment", nil))
	return fmt.Sprint(w.Code, " ", strings.TrimSpace(w.Body.String()))
}

// The second submit runs after the first, and is given its receipt.
func Example() {
	db := openShop()
	defer db.Close()
	bank := func(_ context.Context, order string) (string, error) {
		fmt.Println("the bank charges for order", order)
		return "receipt of order " + order, nil
	}
	shop, err := payment.NewHandler(locktest.New(), db, bank) // core.New(rdb) in a service
	if err != nil {
		panic(err)
	}

	fmt.Println(submit(shop))
	fmt.Println(submit(shop))
	// Output:
	// the bank charges for order 42
	// 200 receipt of order 42
	// 200 receipt of order 42
}

// While one request is paused in the middle, its lease expires and another one
// pays. When the first goes on, its token is too low, and nothing is overwritten.
func Example_pausedHolder() {
	db := openShop()
	defer db.Close()
	locker := locktest.New()
	var shop http.Handler
	calls := 0
	bank := func(_ context.Context, order string) (string, error) {
		if calls++; calls == 1 {
			locker.Lose("order:42")
			fmt.Println("second:", submit(shop))
		}
		return fmt.Sprint("receipt of order ", order), nil
	}
	shop, err := payment.NewHandler(locker, db, bank)
	if err != nil {
		panic(err)
	}

	first := submit(shop)
	fmt.Println("first: ", first[:3], strings.Contains(first, `"LOCK_STALE"`))
	// Output:
	// second: 200 receipt of order 42
	// first:  409 true
}
