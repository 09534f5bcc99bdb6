package idgen

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func newSnowflake(t testing.TB, rdb SnowflakeRedis, opts ...SnowflakeOption) *Snowflake {
	t.Helper()
	s, err := NewSnowflake(rdb, "orders", append([]SnowflakeOption{bubbleEpoch}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func mustID(t testing.TB, s *Snowflake) ID {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	id, err := s.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func mustSplit(t testing.TB, s *Snowflake) SnowflakeParts {
	t.Helper()
	p, err := s.Split(mustID(t, s))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTheFirstIDComesAfterTheSkewAndCarriesATimeThatNobodyWasGranted(t *testing.T) {
	bubble(t, func(t *testing.T, r *bubbleRedis) {
		s := newSnowflake(t, r)
		start := time.Now()
		got := mustSplit(t, s)
		if waited := time.Since(start); waited < DefaultSkew || waited > DefaultSkew+10*time.Millisecond {
			t.Errorf("waited %v for the first ID, want %v", waited, DefaultSkew)
		}
		if want := start.Add(DefaultWindow + DefaultSkew).UTC(); !got.Time.Equal(want) || got.Worker != 0 {
			t.Errorf("got %+v, want the time %v of worker 0", got, want)
		}
		time.Sleep(time.Minute)
		if got := mustSplit(t, s); !got.Time.Equal(time.Now()) {
			t.Errorf("a minute later: %+v, want the time %v", got, time.Now().UTC())
		}
	})
}

func TestANumberIsKeptWhileASkewThatIsLongerThanItsLeasePasses(t *testing.T) {
	bubble(t, func(t *testing.T, r *bubbleRedis) {
		s := newSnowflake(t, r, Window(time.Second), Skew(10*time.Second))
		start := time.Now()
		mustID(t, s)
		if waited := time.Since(start); waited > 10*time.Second+10*time.Millisecond {
			t.Errorf("waited %v for the first ID, want the skew, 10s", waited)
		}
	})
}

func TestOptionsOfASnowflakeAreCheckedTogether(t *testing.T) {
	_, err := NewSnowflake(nil, "a{b}", KeyPrefix(""), Epoch(testEpoch.Add(time.Microsecond)),
		Window(time.Millisecond), Skew(-1), WorkerBits(13), Clock(nil), nil)
	for _, want := range []string{"client is nil", "name", "KeyPrefix", "Epoch", "Window", "Skew", "WorkerBits", "Clock"} {
		if !errors.Is(err, ErrOption) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the error: %v", want, err)
		}
	}
	_, rdb := newRedis(t, time.Time{})
	if _, err := NewSnowflake(rdb.DailyRedis.(SnowflakeRedis), "orders"); !errors.Is(err, ErrOption) || !strings.Contains(err.Error(), "Epoch is missing") {
		t.Errorf("without an epoch: %v", err)
	}
}
