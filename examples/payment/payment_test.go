package payment_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/examples/payment"
)

func TestWhoFailsIsToldAsWhoFailed(t *testing.T) {
	failing := func(context.Context, string) (string, error) { return "", errors.New("bank: timeout") }
	slow := func(context.Context, string) (string, error) { return "", context.DeadlineExceeded } // of the bank's client
	locked := func(context.Context, string) (string, error) { return "", fmt.Errorf("charged, but: %w", core.ErrHeld) }
	paid := func(context.Context, string) (string, error) { return "receipt", nil }
	for name, c := range map[string]struct {
		bank   payment.Bank
		broken bool // the database
		status int
		text   string
	}{
		"the bank":             {bank: failing, status: http.StatusBadGateway, text: "the bank has failed"},
		"the bank's own locks": {bank: locked, status: http.StatusBadGateway, text: "the bank has failed"},
		"the bank's deadline":  {bank: slow, status: http.StatusBadGateway, text: "the bank has failed"},
		"the database":         {bank: paid, broken: true, status: http.StatusInternalServerError, text: "internal error"},
		"nobody":               {bank: paid, status: http.StatusOK, text: "receipt"},
	} {
		t.Run(name, func(t *testing.T) {
			db := openShop()
			defer db.Close()
			if c.broken {
				if _, err := db.Exec("DROP TABLE payments"); err != nil {
					t.Fatal(err)
				}
			}
			shop, err := payment.NewHandler(locktest.New(), db, c.bank)
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			shop.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/orders/7/payment", nil))
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.text) || strings.Contains(w.Body.String(), "LOCK_") {
				t.Errorf("%d %s, want %d and %q", w.Code, w.Body, c.status, c.text)
			}
		})
	}
}

// A bank that gives up because the lock was lost under it is not told as the bank's
// failure: the lock's loss is.
func TestALossDuringTheChargeIsToldAsALoss(t *testing.T) {
	db := openShop()
	defer db.Close()
	locker := locktest.New()
	shop, err := payment.NewHandler(locker, db, func(ctx context.Context, order string) (string, error) {
		held, _ := core.FromContext(ctx)
		locker.Lose(held.Key())
		<-ctx.Done()
		return "", ctx.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	shop.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/orders/7/payment", nil))
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), `"LOCK_LOST"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
