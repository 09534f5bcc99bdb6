package idgen

import "fmt"

// ID is a business ID: an order number, say. It is what [Snowflake], [Sequence]
// and [DailySequence] make. IDs are positive, so that they fit the signed 64-bit
// columns of databases; the zero value means that there is none.
//
// An ID has three texts. All of them are canonical: an ID has one text of each
// form, and the parse functions take no other.
//
//	decimal  String, ParseID            1 to 19 digits; the form of text, JSON and SQL
//	base32   Base32, ParseBase32        13 of 0123456789abcdefghjkmnpqrstvwxyz; sorts as the number
//	hex      Hex, ParseHex              16 of 0123456789abcdef; sorts as the number
//
// Zero has a text in each form and is taken back from it, so that structs whose
// ID is not set yet survive a round trip: compare with zero where an ID is
// required. A negative number is no ID. Parsing, scanning and unmarshalling
// refuse it, and so do MarshalText, MarshalJSON and Value; String, Base32 and Hex
// cannot fail and return a text that no parse function takes.
type ID int64

// checked returns an error that matches [ErrInvalidID] if the ID is negative.
func (id ID) checked() error {
	if id < 0 {
		return fmt.Errorf("%w: %d is negative", ErrInvalidID, int64(id))
	}
	return nil
}
