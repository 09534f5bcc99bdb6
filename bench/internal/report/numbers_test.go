package report

import (
	"testing"
	"time"
)

func TestNumbersAreShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ns", 999: "999 ns", 1000: "1.00 µs", 12_345: "12.3 µs", 123_456: "123 µs",
		9_999_000: "10.0 ms", 1_500_000_000: "1.50 s", -1500: "-1.50 µs",
	} {
		if got := Short(d); got != want {
			t.Errorf("Short(%d) = %q; want %q", d, got, want)
		}
	}
	for v, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234567.6: "1,234,568"} {
		if got := Count(v); got != want {
			t.Errorf("Count(%v) = %q; want %q", v, got, want)
		}
	}
}
