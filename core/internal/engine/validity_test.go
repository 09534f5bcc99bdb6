package engine

import (
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

const ttl = 10 * time.Second

// proven is what of ttl is proven: less 1 % and 2 ms.
const proven = ttl - 100*time.Millisecond - 2*time.Millisecond

func TestValidityLastsTheTTLLessTheDriftFromTheSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := time.Now()
		v := Since(sent, ttl)
		if v.From() != sent || v.End().Sub(sent) != proven {
			t.Errorf("from %v to %v, want %v to %v", v.From(), v.End(), sent, sent.Add(proven))
		}
		for _, step := range []struct{ at, want time.Duration }{
			{0, proven}, {time.Second, proven - time.Second}, {proven - 1, 1}, {proven, 0}, {proven + 1, 0}, {ttl, 0}, {time.Hour, 0},
		} {
			time.Sleep(step.at - time.Since(sent))
			if got := v.Remaining(time.Now()); got != step.want {
				t.Errorf("after %v: %v, want %v", step.at, got, step.want)
			}
		}
	})
}

func TestDriftIsOnePercentAndTwoMilliseconds(t *testing.T) {
	now := time.Now()
	for ttl, want := range map[time.Duration]time.Duration{
		10 * time.Millisecond: 7900 * time.Microsecond,
		time.Second:           988 * time.Millisecond,
		time.Hour:             time.Hour - 36*time.Second - 2*time.Millisecond,
		24 * time.Hour:        24*time.Hour - 864*time.Second - 2*time.Millisecond,
		2 * time.Millisecond:  0, // nothing is left of it
		0:                     0,
		-time.Second:          0,
	} {
		if got := Since(now, ttl).Remaining(now); got != want {
			t.Errorf("TTL %v: %v, want %v", ttl, got, want)
		}
	}
}

func TestZeroValidityHasLapsed(t *testing.T) {
	var v Validity
	for _, now := range []time.Time{{}, time.Unix(0, 0), time.Now()} {
		if got := v.Remaining(now); got != 0 {
			t.Errorf("%v: %v left", now, got)
		}
		if got := v.Later(v.Renewed(now)).Remaining(now); got != 0 {
			t.Errorf("%v: renewed to %v", now, got)
		}
	}
}

// wallSet returns t as it would be read after the wall clock was set d further,
// in whole seconds, and no time had passed. The time package offers no way to
// set the two readings apart, so this goes by its layout, and checks that.
func wallSet(tb testing.TB, t time.Time, d time.Duration) time.Time {
	tb.Helper()
	const secondsAt = 30 // of time.Time.wall: a flag, 33 bits of seconds, 30 of nanoseconds
	set := t
	*(*uint64)(unsafe.Pointer(&set)) += uint64(int64(d/time.Second)) << secondsAt
	if mono, wall := set.Sub(t), set.Round(0).Sub(t.Round(0)); mono != 0 || wall != d {
		tb.Fatalf("time.Time has another layout: %v on the monotonic clock, %v on the wall's", mono, wall)
	}
	return set
}

func TestValidityGoesByTheClockThatIsAhead(t *testing.T) {
	sent := time.Now()
	for name, c := range map[string]struct {
		now  time.Time
		want time.Duration
	}{
		"both agree":                   {sent.Add(time.Second), proven - time.Second},
		"suspended for a while":        {wallSet(t, sent.Add(time.Second), 3*time.Second), proven - 4*time.Second},
		"suspended for the TTL":        {wallSet(t, sent.Add(time.Second), ttl), 0},
		"the wall is set back":         {wallSet(t, sent.Add(time.Second), -time.Hour), proven - time.Second},
		"no monotonic reading":         {sent.Round(0).Add(time.Second), proven - time.Second},
		"none, and the wall set back":  {sent.Round(0).Add(-time.Hour), proven},
		"asked about before it began":  {sent.Add(-time.Second), proven},
		"the wall is set back, lapsed": {wallSet(t, sent.Add(ttl), -time.Hour), 0},
	} {
		if got := Since(sent, ttl).Remaining(c.now); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestLaterIsTheOneThatEndsLater(t *testing.T) {
	now := time.Now()
	short, long := Since(now, time.Second), Since(now, time.Minute)
	late := Since(now.Add(time.Hour), time.Second)
	var none Validity
	for _, c := range []struct{ a, b, want Validity }{
		{short, long, long}, {long, late, late}, {short, short, short}, {none, short, short}, {none, none, none},
	} {
		if got := c.a.Later(c.b); got != c.want {
			t.Errorf("%v and %v: %v, want %v", c.a, c.b, got, c.want)
		}
		if got := c.b.Later(c.a); got != c.want {
			t.Errorf("%v and %v: %v, want %v", c.b, c.a, got, c.want)
		}
	}
}

// An answer that is overtaken by a later one takes nothing away.
func TestRenewedCountsFromTheRenewalsSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := Since(time.Now(), ttl)
		time.Sleep(4 * time.Second)
		first := time.Now()
		time.Sleep(2 * time.Second)
		second := time.Now()
		time.Sleep(time.Second)
		v = v.Later(v.Renewed(second))
		if got := v.Remaining(time.Now()); got != proven-time.Second || v.From() != second {
			t.Errorf("%v left, from %v", got, v.From())
		}
		v = v.Later(v.Renewed(first))
		if got := v.Remaining(time.Now()); got != proven-time.Second {
			t.Errorf("%v left after the answer to an earlier renewal, want %v", got, proven-time.Second)
		}
	})
}
