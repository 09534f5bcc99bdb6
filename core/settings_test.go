package core

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestDefaultSettings(t *testing.T) {
	want := Settings{TTL: 10 * time.Second, Wait: 30 * time.Second, MaxWaiters: 1000}
	if got := DefaultSettings(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if _, err := DefaultSettings().With(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
}

func TestLimitsOfSettings(t *testing.T) {
	cases := map[string]struct {
		set Setting
		ok  bool
	}{
		"shortest TTL":           {TTL(MinTTL), true},
		"TTL below":              {TTL(MinTTL - 1), false},
		"no TTL":                 {TTL(0), false},
		"negative TTL":           {TTL(-time.Second), false},
		"longest TTL":            {TTL(MaxTTL), true},
		"TTL above":              {TTL(MaxTTL + 1), false},
		"no wait":                {Wait(0), true},
		"negative wait":          {Wait(-1), false},
		"longest wait":           {Wait(MaxWait), true},
		"wait above":             {Wait(MaxWait + 1), false},
		"no waiters":             {MaxWaiters(0), true},
		"many waiters":           {MaxWaiters(1 << 30), true},
		"negative waiters":       {MaxWaiters(-1), false},
		"no bound on the hold":   {MaxHold(0), true},
		"a bound on the hold":    {MaxHold(time.Hour), true},
		"negative hold":          {MaxHold(-1), false},
		"a name":                 {Name("PUT /orders/{id}"), true},
		"metadata":               {WithMeta(Meta{Service: "shop"}), true},
		"the zero Setting":       {Setting{}, true},
		"a hold below the TTL":   {MaxHold(time.Nanosecond), true},
		"a wait below the TTL":   {Wait(time.Nanosecond), true},
		"metadata of any length": {WithMeta(Meta{RequestID: strings.Repeat("x", 1<<16)}), true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			// Wherever a setting may be given, it is judged the same.
			_, with := DefaultSettings().With(c.set)
			_, guard := NewGuard(failing(ErrHeld), c.set)
			errs := map[string]error{"With": with, "NewGuard": guard}
			inBubble(t, func(t *testing.T, b *bubble) {
				l, p := b.locker()
				locker, err := New(anyClient(t), c.set)
				if err == nil {
					locker.Close()
				}
				errs["New"] = err
				k, err := l.Acquire(t.Context(), "k", c.set)
				if err == nil {
					k.Release(t.Context())
				} else if p.count("acquire") != 0 || len(b.srv.Keys()) != 0 {
					t.Errorf("a trace in Redis: %v", b.srv.Keys())
				}
				errs["Acquire"] = err
			})
			for where, err := range errs {
				if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrOption) {
					t.Errorf("%s: %v", where, err)
				}
			}
		})
	}
}

func TestSettingsListEverythingThatIsWrong(t *testing.T) {
	_, err := DefaultSettings().With(TTL(0), Wait(-1), MaxWaiters(-1), MaxHold(-1))
	if n := leaves(err); n != 4 || !errors.Is(err, ErrOption) {
		t.Errorf("%d faults, want 4: %v", n, err)
	}
}

func TestOfTwoSettingsTheLaterCounts(t *testing.T) {
	got, err := DefaultSettings().With(TTL(0), nil, TTL(time.Second), Setting{}, Name("a"), Name("b"))
	if err != nil || got.TTL != time.Second || got.Name != "b" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestWithDoesNotChangeItsReceiver(t *testing.T) {
	s := DefaultSettings()
	if _, err := s.With(TTL(time.Minute), WithMeta(Meta{Service: "shop"})); err != nil || s != DefaultSettings() {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestMetadataIsLaidOverField(t *testing.T) {
	base := Meta{Service: "shop", Host: "a", PID: 1, RequestID: "r", TraceParent: "t"}
	for name, c := range map[string]struct{ over, want Meta }{
		"nothing":    {Meta{}, base},
		"a request":  {Meta{RequestID: "r2"}, Meta{"shop", "a", 1, "r2", "t"}},
		"a trace":    {Meta{TraceParent: "t2"}, Meta{"shop", "a", 1, "r", "t2"}},
		"a service":  {Meta{Service: "pay"}, Meta{"pay", "a", 1, "r", "t"}},
		"a process":  {Meta{Host: "b", PID: 2}, Meta{"shop", "b", 2, "r", "t"}},
		"everything": {Meta{"pay", "b", 2, "r2", "t2"}, Meta{"pay", "b", 2, "r2", "t2"}},
	} {
		s := DefaultSettings()
		s.Meta = base
		got, err := s.With(WithMeta(c.over))
		if err != nil || got.Meta != c.want {
			t.Errorf("%s: %+v, %v", name, got.Meta, err)
		}
	}
}

// A guard's settings go over the Locker's, a call's over both.
func TestTheNearestSettingIsInForce(t *testing.T) {
	meta := func(service, request string) Setting { return WithMeta(Meta{Service: service, RequestID: request}) }
	cases := map[string]struct {
		locker []Option
		guard  []GuardOption
		call   []AcquireOption
		ttl    time.Duration
		meta   Meta
	}{
		"default": {ttl: 10 * time.Second},
		"Locker": {
			locker: []Option{TTL(time.Second), meta("a", "1")},
			ttl:    time.Second, meta: Meta{Service: "a", RequestID: "1"},
		},
		"guard": {
			locker: []Option{TTL(time.Second), meta("a", "1")},
			guard:  []GuardOption{TTL(2 * time.Second), meta("b", "")},
			ttl:    2 * time.Second, meta: Meta{Service: "b", RequestID: "1"},
		},
		"call": {
			locker: []Option{TTL(time.Second), meta("a", "1")},
			guard:  []GuardOption{TTL(2 * time.Second), meta("b", "")},
			call:   []AcquireOption{nil, TTL(3 * time.Second), meta("", "2")},
			ttl:    3 * time.Second, meta: Meta{Service: "b", RequestID: "2"},
		},
		"call over Locker": {
			locker: []Option{TTL(time.Second)},
			call:   []AcquireOption{TTL(3 * time.Second), nil},
			ttl:    3 * time.Second,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, _ := b.locker(c.locker...)
				err := guardOn(t, l, c.guard...).Run(t.Context(), "k", func(ctx context.Context) error {
					k, _ := FromContext(ctx)
					if got := k.Info().LeaseTTL; got != c.ttl {
						t.Errorf("TTL %v, want %v", got, c.ttl)
					}
					h := decodeHolder(remoteEntry(b, "k").Meta())
					if h == nil || h.Service != c.meta.Service || h.RequestID != c.meta.RequestID || h.PID == 0 {
						t.Errorf("the lease names %+v, want %+v and a PID", h, c.meta)
					}
					return nil
				}, c.call...)
				if err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Redis counts in milliseconds; what is proven must not be more than it grants.
func TestATTLIsTruncatedToMilliseconds(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		k := get(t, l, "k", TTL(1500*time.Millisecond+999*time.Microsecond))
		defer free(t, k)
		if k.Info().LeaseTTL != 1500*time.Millisecond || k.Remaining() > 1500*time.Millisecond {
			t.Errorf("TTL %v, %v remaining", k.Info().LeaseTTL, k.Remaining())
		}
		if ttl := b.srv.TTL(leaseName(b, "k")); ttl != 1500*time.Millisecond {
			t.Errorf("in Redis %v", ttl)
		}
	})
}

// leaseName is what the lease of key is stored as.
func leaseName(b *bubble, key string) string {
	for _, name := range b.srv.Keys() {
		if strings.HasSuffix(name, ":l:"+key) {
			return name
		}
	}
	return ""
}

func TestTryAcquireDoesNotWait(t *testing.T) {
	for _, where := range []string{"here", "elsewhere"} {
		t.Run("held "+where, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, _ := b.locker()
				owner := l
				if where == "elsewhere" {
					owner, _ = b.locker()
				}
				k := get(t, owner, "k")
				start := time.Now()
				// Not even if it is told to.
				_, err := l.TryAcquire(t.Context(), "k", Wait(time.Minute))
				if !errors.Is(err, ErrHeld) || time.Since(start) != 0 {
					t.Errorf("%v after %v", err, time.Since(start))
				}
				free(t, k)
				again, err := l.TryAcquire(t.Context(), "k")
				if err != nil {
					t.Fatalf("when it is free: %v", err)
				}
				if err := again.Release(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
