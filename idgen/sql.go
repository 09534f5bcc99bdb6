package idgen

import (
	"database/sql/driver"
	"fmt"
	"math"
)

// scanner is sql.Scanner. The package that defines it is a whole database layer,
// which programs without a database need not carry.
type scanner interface{ Scan(src any) error }

var (
	_ scanner       = (*ID)(nil)
	_ driver.Valuer = ID(0)
)

// Value returns the ID as an int64, for a column of type BIGINT. It fails with an
// error that matches [ErrInvalidID] if the ID is negative. Zero is stored as 0 and
// not as NULL; where there may be no ID use sql.Null[ID].
func (id ID) Value() (driver.Value, error) {
	if err := id.checked(); err != nil {
		return nil, err
	}
	return int64(id), nil
}

// Scan takes an integer that is not negative, or the decimal form as a string or
// bytes, in which MySQL sends the numbers of a query without arguments. It refuses
// NULL: scan into a sql.Null[ID] where the column can be NULL. The error is a
// [*ParseError], which matches [ErrInvalidID], and the ID is then unchanged.
func (id *ID) Scan(src any) error {
	switch v := src.(type) {
	case int64:
		if v < 0 {
			return newParseError("SQL", fmt.Sprint(v), fault{reason: "negative"})
		}
		*id = ID(v)
	case uint64: // not in the contract of drivers, but MySQL's returns it for BIGINT UNSIGNED
		if v > math.MaxInt64 {
			return newParseError("SQL", fmt.Sprint(v), fault{offset: maxDecimalLen - 1, reason: "greater than 9223372036854775807"})
		}
		*id = ID(v)
	case string:
		return setDecimal(id, v)
	case []byte:
		return setDecimal(id, v)
	default:
		return scanError(src, "idgen.ID", "an integer or its decimal form")
	}
	return nil
}

// scanError is for a column's value that is of none of the types that an ID of
// type into can be made of.
func scanError(src any, into, want string) error {
	if src == nil {
		return newParseError("SQL", "NULL", fault{reason: "no ID: scan into a sql.Null[" + into + "] where the column can be NULL"})
	}
	return newParseError("SQL", fmt.Sprint(src), fault{reason: fmt.Sprintf("a %T, not %s", src, want)})
}
