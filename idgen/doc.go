// Package idgen makes unique IDs: for requests and lock owners, which need no
// coordination, and for business objects such as orders, which want a short
// number that is unique over all replicas and sorts by time.
//
//	generator      type       bits                      order                 needs                what breaks it
//	UUIDv7         uuid.UUID  46 ms · 18 frac · 56 rand rising per generator  nothing              a VM copied while it runs (*)
//	UUIDv4         uuid.UUID  122 random                none                  nothing              a VM copied while it runs (*)
//	NewRequestID   string     as UUIDv7                 by time, about 4 ns   nothing              a VM copied while it runs (*)
//	Snowflake      ID         41 ms · 10 worker · 12    rising per generator, Redis, a trip each   two masters at once for longer than the
//	                          sequence                  roughly by time       second in the        skew; a VM copied while it runs;
//	                                                    over all              background           see [Snowflake]
//	Sequence       ID         63 number                 rising per generator  Redis, about one     Redis loses the counter, and a process
//	                                                                          trip in 10 s         that starts is not told [After]
//	DailySequence  ID         31 s · 32 daily counter   rising per generator, Redis, about one     Redis loses the day's counter and is
//	                                                    by second over all    trip in 10 s         back within the same second (**)
//	Typed          TypedID    prefix + ID or UUID       of what it wraps      what it wraps needs  what breaks that
//
// (*) Random bytes are drawn from crypto/rand in stocks of 512 bytes. Two copies
// of a running machine (a snapshot that is restored twice) share what is left of
// their stocks: up to 32 UUIDs of version 4 per processor could come twice. Of
// version 7 only those that are made in the same 4 ns of their clocks. Restart
// processes after restoring a snapshot.
//
// (**) See [DailySequence], which also tells how much of this is detected.
//
// None of these IDs is a secret: version 7 UUIDs and numbers can be guessed in
// part, and an ID that authorises nothing cannot be abused.
//
// # The request ID
//
// [NewContext] and [FromContext] carry a request's ID. An ID that comes from
// outside is taken over only if its sender is trusted and [ValidRequestID] says
// that it is harmless; otherwise [NewRequestID] makes one.
package idgen
