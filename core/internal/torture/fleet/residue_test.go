package fleet

import (
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/locktest"
)

func TestWhatIsLeftInRedisIsOnlyThatOfTheDead(t *testing.T) {
	ctx := t.Context()
	rdb := locktest.StartRedis(t).Client(nil)
	work := Work{TTL: 400 * time.Millisecond, Keys: 2}
	f := &Fleet{t: t, work: work, ledger: newLedger(), deaths: []death{{process: 1}}}
	f.calm = f.lag.start(nil)
	defer f.calm()
	for number := range uint32(3) {
		hail, err := hailed(string(backend.NewProcess()))
		if err != nil {
			t.Fatal(err)
		}
		f.ledger.take(number, hail)
	}
	entry := func(number uint32) string {
		return string(backend.MakeEntry(backend.MakeID(f.ledger.names[number], 1), time.Second, 1, ""))
	}
	line := func(name string, numbers ...uint32) {
		for _, n := range numbers {
			rdb.Do(ctx, "ZADD", name, 1, entry(n))
		}
		rdb.PExpire(ctx, name, time.Minute)
	}
	forbid := func(command string) func() {
		return func() {
			if err := rdb.Do(ctx, "ACL", "SETUSER", "default", "-"+command).Err(); err != nil {
				t.Error(err)
			}
		}
	}
	for _, c := range []struct {
		name   string
		leave  func()
		struck bool
		want   int
	}{
		{name: "nothing", leave: func() {}},
		{name: "a fence of each key", leave: func() { rdb.MSet(ctx, "latchkey:{00}:fence", 1, "latchkey:{01}:fence", 1) }},
		{name: "one more", leave: func() {
			rdb.MSet(ctx, "latchkey:{00}:fence", 1, "latchkey:{01}:fence", 1, "latchkey:{02}:fence", 1)
		}, want: 1},
		{name: "a queue of one who was killed", leave: func() { line("latchkey:{00}:q:k0", 1) }},
		{name: "that never expires", leave: func() { line("latchkey:{00}:q:k0", 1); rdb.Persist(ctx, "latchkey:{00}:q:k0") }, want: 1},
		{name: "a queue of one who has left", leave: func() { line("latchkey:{00}:q:k0", 2) }, want: 1},
		{name: "and of both", leave: func() { line("latchkey:{00}:q:k0", 1, 2) }, want: 1},
		{name: "a lease", leave: func() { rdb.Set(ctx, "latchkey:{00}:l:k0", entry(2), time.Minute) }, want: 1},
		{name: "a lease, and something was struck", leave: func() { rdb.Set(ctx, "latchkey:{00}:l:k0", entry(2), work.TTL) }, struck: true},
		{name: "no answer: keys", leave: forbid("keys"), want: 1},
		{name: "no answer: channels", leave: forbid("pubsub"), want: 1},
		{name: "no answer: connections", leave: forbid("client|list"), want: 1},
		{name: "no answer: a queue", leave: func() { line("latchkey:{00}:q:k0", 1); forbid("zrange")() }, want: 1},
		{name: "no answer: when a queue expires", leave: func() { line("latchkey:{00}:q:k0", 1); forbid("pttl")() }, want: 1},
	} {
		rdb.Do(ctx, "ACL", "SETUSER", "default", "+@all")
		rdb.FlushAll(ctx)
		c.leave()
		if found := f.residue(rdb, c.struck); len(found) != c.want {
			t.Errorf("%s: found %v", c.name, found)
		}
	}
}
