package idgen

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// TimeOfUUIDv7 returns the millisecond that a version 7 UUID carries, in UTC: by
// the clock of the process that made it, but for the cases in which its generator
// ran ahead of that (see [UUIDv7]). What follows the millisecond is a matter of
// each maker (RFC 9562, section 6.2), and nothing in a UUID tells who made it;
// therefore the finer time that UUIDs of this package have is not returned.
//
// The error matches [ErrInvalidID] if the UUID is of another version or variant.
func TimeOfUUIDv7(id uuid.UUID) (time.Time, error) {
	if id.Version() != 7 || id.Variant() != uuid.RFC4122 {
		return time.Time{}, fmt.Errorf("%w: %v is no UUID of version 7 (RFC 9562), but of version %d, variant %v",
			ErrInvalidID, id, id.Version(), id.Variant())
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:8]) >> 16)).UTC(), nil
}
