package report

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Short is a duration with three digits.
func Short(d time.Duration) string {
	switch v := float64(d); {
	case d < 0:
		return "-" + Short(-d)
	case d < time.Microsecond:
		return fmt.Sprintf("%d ns", d)
	case d < time.Millisecond:
		return digits(v/1e3) + " µs"
	case d < time.Second:
		return digits(v/1e6) + " ms"
	default:
		return digits(v/1e9) + " s"
	}
}

// digits is a number from 1 on with three digits, or all before the point.
func digits(v float64) string {
	switch {
	case v < 9.995:
		return fmt.Sprintf("%.2f", v)
	case v < 99.95:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.0f", v)
	}
}

// InBytes is a size.
func InBytes(v float64) string { return Count(v) + " B" }

// Percent is a share with three digits.
func Percent(v float64) string { return fmt.Sprintf("%.3g %%", 100*v) }

// Count is a whole number with its thousands apart.
func Count(v float64) string {
	text := strconv.FormatInt(int64(math.Round(v)), 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
