package torture

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/internal/faultproxy"
	"github.com/latchkey-go/latchkey/core/internal/torture/fleet"
	"github.com/latchkey-go/latchkey/core/internal/torture/history"
	"github.com/latchkey-go/latchkey/core/internal/torture/tally"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// passedOn is for how long after a loss a process may pass on what Redis has
// forgotten: see "The fencing token" in core's documentation.
const passedOn = time.Second

// TestS16RedisForgetsTheLeasesOfBusyLines: each process passes the lease of its key on
// among its own requests, and nobody else is in line for it: such a tenure has no
// end. Redis stays up and loses the lease. Then one of another process, who does not
// wait, comes in. The line goes on under lower tokens, but not for long, though its
// lease would be proven for seconds.
func TestS16RedisForgetsTheLeasesOfBusyLines(t *testing.T) {
	t.Parallel()
	s := scenario(t, "S16")
	const processes, ttl = 3, 9 * time.Second
	server := locktest.StartRedis(t)
	proxy := faultproxy.New(t, server.Addr())
	f := fleet.Start(t, server, proxy.Addr(), processes, fleet.Work{
		TTL: ttl, Wait: time.Minute, Keys: processes, Callers: 8, Hold: 20 * time.Millisecond,
		Lines: true, Impatient: 20, Leavers: 2, Heedless: 60, Watch: true,
	}, chosen(s))
	f.Forgets(false)
	l := losses{t: t, f: f, proxy: proxy, admin: server.Client(nil)}
	var err error
	if l.operator, err = core.New(l.admin); err != nil {
		t.Fatal(err)
	}
	var forgot []history.Loss
	// Each kind is done more often if it has not shown yet what it is for.
	times, seen := size(3, 100), map[string]int{}
	longest := ttl / 12
	if *share > 0 {
		longest = ttl / 4
	}
	for i, kind := range l.kinds() {
		for n := i; n < times || seen[kind.name] == 0 && n < times+60; n += len(l.kinds()) {
			f.Elapse(f.Between(ttl/20, longest))
			before := f.Falls()
			forgot = append(forgot, kind.lose(fleet.KeyName(int(f.Between(0, processes-1)))))
			count(s, kind.name, 1)
			// Until after the time at which the line must have noticed, and sometimes
			// until the lease would have been renewed in any case.
			f.Elapse(passedOn + f.Between(ttl/20, longest))
			seen[kind.name] += f.Falls() - before
		}
	}
	if err := l.operator.Close(); err != nil {
		t.Error(err)
	}
	o := f.End("backend", "lost")
	terms := history.Terms{Forgot: forgot, Proof: ttl, PassedOn: passedOn, Late: o.Late}
	conclude(s, o, terms)
	n, last := history.PassedOn(o.Attempts, terms)
	s.Count(func(t *tally.Totals) {
		t.Notes = append(t.Notes, fmt.Sprintf("%d were passed a forgotten lease after another holder had come in, the last %v after the loss", n, last))
		for _, kind := range l.kinds() {
			if seen[kind.name] == 0 {
				t.Violations = append(t.Violations, "there is nothing to be seen: no line that went on beside a second holder, after: "+kind.name)
			}
		}
	})
	mustSee(s, "stale write", s.End().Lost)
}

// losses are ways in which Redis, which stays up, loses leases.
type losses struct {
	t        *testing.T
	f        *fleet.Fleet
	proxy    *faultproxy.Proxy
	admin    *redis.Client // does not go through the proxy
	operator *core.RedisLocker
}

// loss is one of them.
type loss struct {
	name string
	lose func(key string) history.Loss
}

func (l losses) kinds() []loss {
	return []loss{{"redis emptied", l.flush}, {"lease evicted", l.evict}, {"lease broken, message lost", l.breakNow}}
}

func (l losses) flush(string) history.Loss {
	loss := history.Loss{From: fleet.Now()}
	if err := l.admin.FlushAll(l.t.Context()).Err(); err != nil {
		l.t.Fatal(err)
	}
	loss.To = fleet.Now()
	return loss
}

func (l losses) evict(key string) history.Loss {
	return l.repeat(key, func() (bool, error) {
		// The key of the lease is found anew: it is that of no lease if nobody has one.
		names, err := l.admin.Keys(l.t.Context(), "*:l:"+key).Result()
		if err != nil || len(names) == 0 {
			return false, err
		}
		n, err := l.admin.Del(l.t.Context(), names...).Result()
		return n > 0, err
	})
}

// breakNow has an operator break a lease while no process hears of it: they have lost
// their subscriptions, and a new one, which would have them look after their leases,
// is refused for a while.
func (l losses) breakNow(key string) history.Loss {
	l.proxy.Block()
	defer func() {
		l.f.Elapse(passedOn / 2)
		l.proxy.Unblock()
	}()
	return l.repeat(key, func() (bool, error) {
		if err := l.admin.ClientKillByFilter(l.t.Context(), "TYPE", "pubsub").Err(); err != nil {
			return false, err
		}
		_, err := l.operator.BreakNow(l.t.Context(), key)
		if errors.Is(err, core.ErrNotHeld) || errors.Is(err, core.ErrLeaseChanged) {
			return false, nil
		}
		return err == nil, err
	})
}

// repeat has the lease of a key lost, as soon as there is one.
func (l losses) repeat(key string, lose func() (bool, error)) history.Loss {
	for begun := time.Now(); ; {
		loss := history.Loss{From: fleet.Now(), Key: key}
		lost, err := lose()
		loss.To = fleet.Now()
		switch {
		case err != nil:
			l.t.Fatal(err)
		case lost:
			return loss
		case time.Since(begun) > 30*time.Second:
			l.t.Fatalf("nobody has had %s for 30 s", key)
		}
	}
}
