package backend_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// scanAll returns what a scan finds, sorted.
func scanAll(tb testing.TB, be *backend.Backend) []string {
	tb.Helper()
	var found []string
	scan := be.Scan()
	for more := true; more; {
		keys, m, err := scan.Next(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		found, more = append(found, keys...), m
	}
	slices.Sort(found)
	return found
}

func TestScanFindsEachLeaseOfItsPrefixOnce(t *testing.T) {
	onBoth(t, func(s *stage) {
		// A prefix is text, whatever it would mean in a pattern.
		prefixes := []string{"test", "tes?", "t*", "*", "[t]est", `t\est`, "t[a-z]st", "te", "test:x"}
		var rooms []*backend.Backend
		for i, p := range prefixes {
			be := backend.New(s.rdb, p)
			defer closeBackend(s.T, be)
			rooms = append(rooms, be)
			s.be = be
			for n := range i + 1 {
				s.use(fmt.Sprint("k", n))
				s.hold()
			}
		}
		for i, be := range rooms {
			var want []string
			for n := range i + 1 {
				want = append(want, fmt.Sprint("k", n))
			}
			if got := scanAll(s, be); !slices.Equal(got, want) {
				s.Errorf("%q: %q, want %q", prefixes[i], got, want)
			}
		}
	})
}

func TestScanOfManyKeysGoesOnUntilAllAreFound(t *testing.T) {
	onBoth(t, func(s *stage) {
		if got := scanAll(s, s.be); got != nil {
			s.Errorf("an empty Redis: %q", got)
		}
		const leases = 1200 // several steps
		var want []string
		for i := range leases {
			key := fmt.Sprintf("order/%04d\n{*}", i)
			lease, _, _ := s.be.Names(key).Parts()
			s.rdb.Set(s.Context(), lease, "x", time.Minute)
			s.rdb.Set(s.Context(), fmt.Sprint("other:", i), "x", 0)
			want = append(want, key)
		}
		slices.Sort(want)
		if got := scanAll(s, s.be); !slices.Equal(got, want) {
			s.Errorf("%d keys, want %d", len(got), len(want))
		}
	})
}

func TestScanSkipsWhatIsNoLease(t *testing.T) {
	onBoth(t, func(s *stage) {
		lease, queue, fence := s.be.Names("k").Parts()
		s.rdb.ZAdd(s.Context(), queue, redis.Z{Member: "x"})
		s.rdb.Set(s.Context(), fence, "1", 0)
		s.rdb.RPush(s.Context(), lease, "x")
		s.rdb.Set(s.Context(), lease+"2", "x", 0) // in another's bucket
		s.rdb.Set(s.Context(), strings.TrimSuffix(lease, "k"), "x", 0)
		if got := scanAll(s, s.be); got != nil {
			s.Errorf("%q", got)
		}
	})
}

// cluster is a client of several servers, as far as a scan needs one.
type cluster struct {
	*redis.Client
	masters []*redis.Client
	err     error
}

func (c *cluster) ForEachMaster(ctx context.Context, f func(context.Context, *redis.Client) error) error {
	errs := make(chan error)
	for _, m := range c.masters {
		go func() { errs <- f(ctx, m) }()
	}
	for range c.masters {
		<-errs
	}
	return c.err
}

func TestScanOfAClusterGoesOverAllMasters(t *testing.T) {
	var c cluster
	var want []string
	for i := range 3 {
		s := onMini(t)
		c.masters = append(c.masters, s.rdb)
		c.Client = s.rdb
		for n := range i * 2 { // the first has none
			s.use(fmt.Sprint("k", i, n))
			s.hold()
			want = append(want, s.key)
		}
		s.use("moving") // while it moves to another, both may have it
		s.hold()
	}
	be := backend.New(&c, prefix)
	defer closeBackend(t, be)
	want = append(want, "moving")
	slices.Sort(want)
	if got := scanAll(t, be); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	c.err = errors.New("no connection")
	if _, _, err := be.Scan().Next(t.Context()); err != c.err {
		t.Errorf("%v, want %v", err, c.err)
	}
	c.err, c.masters = nil, nil
	if _, more, err := be.Scan().Next(t.Context()); err == nil || more {
		t.Errorf("without masters: %v, %v", more, err)
	}
}

func TestScanEndsWithItsContextAndWithItsBackend(t *testing.T) {
	s := onRedis(t)
	s.hold()
	s.real.Stop()
	defer s.real.Continue()
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	time.AfterFunc(10*time.Millisecond, func() { cancel(gone) })
	start := time.Now()
	if _, _, err := s.be.Scan().Next(ctx); err != gone {
		t.Errorf("%v, want %v", err, gone)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("returned after %v", took)
	}
	be := backend.New(s.rdb, prefix)
	time.AfterFunc(10*time.Millisecond, func() { closeBackend(t, be) })
	if _, _, err := be.Scan().Next(t.Context()); err != backend.ErrClosed {
		t.Errorf("%v, want ErrClosed", err)
	}
	if _, _, err := be.Scan().Next(t.Context()); err != backend.ErrClosed {
		t.Errorf("%v, want ErrClosed", err)
	}
}
