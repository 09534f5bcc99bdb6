package idgen

// ID is a business ID: an order number, say. It is what [Snowflake], [Sequence]
// and [DailySequence] make. IDs are positive, so that they fit the signed 64-bit
// columns of databases; the zero value means that there is none.
type ID int64
