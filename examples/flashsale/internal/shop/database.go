package shop

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	_ "github.com/ncruces/go-sqlite3/driver" // the "sqlite3" driver, without cgo
)

// schema has no constraint that could hide a fault: nothing keeps the stock
// from a blind write, and order_id is not unique, so that a repeated ID becomes
// a row that [Look] can count. The fence is the highest fencing token that has
// changed the row.
const schema = `
CREATE TABLE items (
	id    TEXT    PRIMARY KEY,
	stock INTEGER NOT NULL,
	fence INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE orders (
	order_id   INTEGER NOT NULL,
	item       TEXT    NOT NULL,
	buyer      TEXT    NOT NULL,
	quantity   INTEGER NOT NULL,
	request_id TEXT    NOT NULL
);`

// Create makes a new database at path with a stock of one item, and returns
// it opened.
func Create(ctx context.Context, path, item string, stock int) (*sql.DB, error) {
	db, err := Open(path)
	if err != nil {
		return nil, err
	}
	_, err = db.ExecContext(ctx, schema)
	if err == nil {
		_, err = db.ExecContext(ctx, `INSERT INTO items (id, stock) VALUES (?, ?)`, item, stock)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("shop: create %s: %w", path, err), db.Close())
	}
	return db, nil
}

// Open opens the database at path; each replica of the service has it open on
// its own. A write-ahead log lets readers go on during a write. Nothing here
// has to survive a power cut, so a commit does not wait for the disk.
func Open(path string) (*sql.DB, error) {
	dsn := url.URL{
		Scheme: "file",
		Opaque: (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath(),
		RawQuery: url.Values{"_pragma": {
			"busy_timeout(10000)", "journal_mode(wal)", "synchronous(off)",
		}}.Encode(),
	}
	db, err := sql.Open("sqlite3", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("shop: open %s: %w", path, err)
	}
	// SQLite has one writer at a time. Connections beyond a few only meet in
	// its busy handler, which sleeps.
	db.SetMaxOpenConns(2)
	db.SetMaxIdleConns(2)
	return db, nil
}
