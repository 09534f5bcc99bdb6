package idgen

import "time"

// day is a calendar day in a time zone, as the seconds lo ≤ s < hi since 1970.
// The days of a zone lie end to end, so that each second is in exactly one.
type day struct {
	lo, hi int64
	// name and next are the dates of this day and of the one after it, such as
	// 2026-03-29.
	name, next string
}

func (d day) contains(second int64) bool { return d.lo <= second && second < d.hi }

// dayOf returns the day that a second is in.
//
// A day begins at the first instant at which the zone's calendars show its date.
// That is not always midnight: where clocks go forward at midnight it is 01:00.
// And where they went back just after midnight (St. John's until 2011, from
// 00:01 to 23:01), the calendar showed the old date once more; those minutes
// belong to the new day here, because a day that came back would not be an
// interval. A day that a zone has skipped (Samoa, 30 December 2011) is empty.
func dayOf(second int64, zone *time.Location) day {
	y, m, d := time.Unix(second, 0).In(zone).Date()
	lo, hi := dayStart(y, m, d, zone), dayStart(y, m, d+1, zone)
	for hi <= second {
		d++
		lo, hi = hi, dayStart(y, m, d+1, zone)
	}
	return day{lo: lo, hi: hi, name: dateName(y, m, d), next: dateName(y, m, d+1)}
}

func dateName(y int, m time.Month, d int) string {
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
}

// dayStart returns the first second at which zone shows the date y-m-d or a
// later one. time.Date does not promise which of two instants it returns for a
// midnight that does not exist, or exists twice, so the zone's periods of equal
// offset are walked instead.
func dayStart(y int, m time.Month, d int, zone *time.Location) int64 {
	midnight := time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() // plus minus the offset
	const maxOffset = 26 * 60 * 60                              // more than any zone has or had
	at := time.Unix(midnight-maxOffset, 0).In(zone)
	for {
		_, offset := at.Zone()
		start := max(at.Unix(), midnight-int64(offset))
		_, end := at.ZoneBounds()
		if end.IsZero() || start < end.Unix() {
			return start
		}
		at = end
	}
}
