package idgen

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"math"
	"testing"
	"time"
)

// echo is a database whose only query returns its arguments as one row.
type echo struct{}

func (echo) Connect(context.Context) (driver.Conn, error) { return echo{}, nil }
func (echo) Driver() driver.Driver                        { return echo{} }
func (echo) Open(string) (driver.Conn, error)             { return echo{}, nil }
func (echo) Prepare(string) (driver.Stmt, error)          { return echo{}, nil }
func (echo) Begin() (driver.Tx, error)                    { return nil, errors.ErrUnsupported }
func (echo) Close() error                                 { return nil }
func (echo) NumInput() int                                { return -1 }
func (echo) Exec([]driver.Value) (driver.Result, error)   { return nil, errors.ErrUnsupported }
func (echo) Query(args []driver.Value) (driver.Rows, error) {
	return &echoRows{args}, nil
}

type echoRows struct{ row []driver.Value }

func (r *echoRows) Columns() []string { return make([]string, len(r.row)) }
func (r *echoRows) Close() error      { return nil }
func (r *echoRows) Next(dst []driver.Value) error {
	if r.row == nil {
		return io.EOF
	}
	copy(dst, r.row)
	r.row = nil
	return nil
}

func newEcho(t testing.TB) *sql.DB {
	t.Helper()
	db := sql.OpenDB(echo{})
	t.Cleanup(func() { db.Close() })
	return db
}

func TestAnIDTravelsThroughADatabase(t *testing.T) {
	db := newEcho(t)
	for _, id := range []ID{0, 1, math.MaxInt64} {
		var number, decimal, bytes ID
		var column int64
		var some, none sql.Null[ID]
		row := db.QueryRowContext(t.Context(), "", id, id.String(), []byte(id.String()), id, id, nil)
		if err := row.Scan(&number, &decimal, &bytes, &column, &some, &none); err != nil {
			t.Fatal(err)
		}
		if number != id || decimal != id || bytes != id || column != int64(id) || some != (sql.Null[ID]{V: id, Valid: true}) || none.Valid {
			t.Errorf("%d came back as %d, %d, %d, %d, %v and NULL as %v", int64(id), number, decimal, bytes, column, some, none)
		}
		var back sql.Null[ID]
		if err := db.QueryRowContext(t.Context(), "", some).Scan(&back); err != nil || back != some {
			t.Errorf("%v came back as %v, %v", some, back, err)
		}
	}
	if err := db.QueryRowContext(t.Context(), "", ID(-1)).Scan(new(int64)); !errors.Is(err, ErrInvalidID) {
		t.Errorf("-1 as an argument: %v, want ErrInvalidID", err)
	}
}

func TestOnlyWhatIsAnIDIsScanned(t *testing.T) {
	for _, c := range []struct {
		src  any
		form string
		want refusal
	}{
		{nil, "SQL", refusal{"NULL", 0, "no ID: scan into a sql.Null[idgen.ID] where the column can be NULL"}},
		{int64(-5), "SQL", refusal{"-5", 0, "negative"}},
		{uint64(math.MaxInt64 + 1), "SQL", refusal{"9223372036854775808", 18, "greater than 9223372036854775807"}},
		{uint64(math.MaxUint64), "SQL", refusal{"18446744073709551615", 18, "greater than 9223372036854775807"}},
		{1.5, "SQL", refusal{"1.5", 0, "a float64, not an integer or its decimal form"}},
		{true, "SQL", refusal{"true", 0, "a bool, not an integer or its decimal form"}},
		{time.Unix(0, 0).UTC(), "SQL", refusal{"1970-01-01 00:00:00 +0000 UTC", 0, "a time.Time, not an integer or its decimal form"}},
		{"", "decimal", refusal{"", 0, "empty"}},
		{[]byte("7.0"), "decimal", refusal{"7.0", 1, "not a digit"}},
	} {
		id := ID(7)
		wantRefusal(t, id.Scan(c.src), c.form, c.want)
		if id != 7 {
			t.Errorf("%v left %d behind", c.src, int64(id))
		}
	}
	var id ID
	if err := id.Scan(uint64(math.MaxInt64)); err != nil || id != math.MaxInt64 {
		t.Errorf("an unsigned number in range is %d, %v", int64(id), err)
	}
}
