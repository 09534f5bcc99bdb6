package idgen

import (
	"testing"
	"time"
)

func TestADayBeginsWhenItsZoneFirstShowsItsDate(t *testing.T) {
	for _, c := range []struct {
		zone, at       string // at: an instant in UTC
		day, next      string
		begins, length string // in UTC; hours
	}{
		{"UTC", "2026-11-23T14:00:00Z", "2026-11-23", "2026-11-24", "2026-11-23T00:00:00Z", "24h0m0s"},
		{"UTC", "2026-12-31T23:59:59Z", "2026-12-31", "2027-01-01", "2026-12-31T00:00:00Z", "24h0m0s"},
		{"Asia/Shanghai", "2026-11-22T16:00:00Z", "2026-11-23", "2026-11-24", "2026-11-22T16:00:00Z", "24h0m0s"},
		{"Asia/Shanghai", "2026-11-22T15:59:59Z", "2026-11-22", "2026-11-23", "2026-11-21T16:00:00Z", "24h0m0s"},
		// Summer time begins and ends at night.
		{"Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-29", "2026-03-30", "2026-03-28T23:00:00Z", "23h0m0s"},
		{"Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25", "2026-10-26", "2026-10-24T22:00:00Z", "25h0m0s"},
		// 00:00 does not exist: the day begins at 01:00.
		{"America/Sao_Paulo", "2018-11-04T03:00:00Z", "2018-11-04", "2018-11-05", "2018-11-04T03:00:00Z", "23h0m0s"},
		{"America/Sao_Paulo", "2018-11-04T02:59:59Z", "2018-11-03", "2018-11-04", "2018-11-03T03:00:00Z", "24h0m0s"},
		// 24:00 becomes 23:00: the last hour comes twice.
		{"America/Sao_Paulo", "2018-02-18T02:30:00Z", "2018-02-17", "2018-02-18", "2018-02-17T02:00:00Z", "25h0m0s"},
		// 00:00 exists twice: the first one counts.
		{"America/Havana", "2025-11-02T05:30:00Z", "2025-11-02", "2025-11-03", "2025-11-02T04:00:00Z", "25h0m0s"},
		// 00:01 becomes 23:01 of the day before: that hour is in the new day.
		{"America/St_Johns", "2010-11-07T02:30:30Z", "2010-11-07", "2010-11-08", "2010-11-07T02:30:00Z", "25h0m0s"},
		{"America/St_Johns", "2010-11-07T03:00:00Z", "2010-11-07", "2010-11-08", "2010-11-07T02:30:00Z", "25h0m0s"},
		// 30 December 2011 was left out.
		{"Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29", "2011-12-30", "2011-12-29T10:00:00Z", "24h0m0s"},
		{"Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-31", "2012-01-01", "2011-12-30T10:00:00Z", "24h0m0s"},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		d := dayOf(at.Unix(), location(t, c.zone))
		begins := time.Unix(d.lo, 0).UTC().Format(time.RFC3339)
		length := (time.Duration(d.hi-d.lo) * time.Second).String()
		if d.name != c.day || d.next != c.next || begins != c.begins || length != c.length {
			t.Errorf("%s at %s: %s (then %s) from %s, %s long; want %s (then %s) from %s, %s",
				c.zone, c.at, d.name, d.next, begins, length, c.day, c.next, c.begins, c.length)
		}
	}
}

func TestEachSecondIsInExactlyOneDay(t *testing.T) {
	for _, name := range []string{
		"UTC", "Europe/Berlin", "Asia/Shanghai", "Asia/Kathmandu", "America/Sao_Paulo", "America/St_Johns", "America/Havana",
		"Pacific/Apia", "Pacific/Kiritimati", "Africa/Cairo", "Asia/Beirut", "Australia/Lord_Howe", "Antarctica/Troll",
	} {
		zone := location(t, name)
		from := time.Date(2005, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
		d := dayOf(from, zone)
		for d.hi < time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).Unix() {
			for _, s := range []int64{d.lo, d.lo + 3600, (d.lo + d.hi) / 2, d.hi - 1} {
				if got := dayOf(s, zone); got != d {
					t.Fatalf("%s: second %d is in %+v and in %+v", name, s, got, d)
				}
			}
			next := dayOf(d.hi, zone)
			if next.lo != d.hi || next.name <= d.name {
				t.Fatalf("%s: %+v is followed by %+v", name, d, next)
			}
			d = next
		}
	}
}
