package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/internal/torture/history"
)

// residue is O6, when all processes have left: there is no lease, and what else is
// left in Redis is known and bounded; nobody is connected but the test. A lease
// that could not be given back may expire first, but only where something was
// struck: after a TTL, one that was leaked would be gone as well.
func (f *Fleet) residue(rdb *redis.Client, struck bool) []history.Violation {
	within := grace
	if struck {
		within += f.work.TTL
	}
	begun := now()
	left := f.left(rdb)
	for ; len(left) > 0 && now()-begun <= within+f.lag.within(begun, now()); left = f.left(rdb) {
		f.Elapse(20 * time.Millisecond)
	}
	var found []history.Violation
	for _, text := range left {
		found = append(found, history.Violation{Oracle: "O6", Text: text})
	}
	return found
}

// left is what has to go.
func (f *Fleet) left(rdb *redis.Client) []string {
	ctx := context.Background()
	var left []string
	unknown := func(what string, err error) {
		if err != nil { // no answer is not "nothing"
			left = append(left, fmt.Sprintf("what is left is not known: %s: %v", what, err))
		}
	}
	fences := 0
	names, err := rdb.Keys(ctx, "*").Result()
	unknown("keys", err)
	for _, name := range names {
		switch {
		case strings.HasSuffix(name, "}:fence"):
			if fences++; fences > f.work.Keys { // at most one of each key's bucket
				left = append(left, fmt.Sprintf("left in Redis: %s, and there are %d keys", name, f.work.Keys))
			}
		case strings.Contains(name, "}:q:") && f.ofTheDead(rdb, name):
		default:
			left = append(left, "left in Redis: "+name)
		}
	}
	channels, err := rdb.PubSubChannels(ctx, "*").Result()
	unknown("channels", err)
	for _, name := range channels {
		left = append(left, "subscribed: "+name)
	}
	n, err := connections(rdb)
	unknown("connections", err)
	if n > 0 {
		left = append(left, fmt.Sprintf("%d connections", n))
	}
	return left
}

// Forgets is told before Redis forgets leases. If it goes back to what it knew some
// time ago, it has waiters, too, who have left since, and whom nobody but who is next
// can take out.
func (f *Fleet) Forgets(goesBack bool) { f.forgets, f.wentBack = true, goesBack }

// ofTheDead tells whether only processes that were killed stand in a queue, and it
// expires: nobody else can take them out.
func (f *Fleet) ofTheDead(rdb *redis.Client, queue string) bool {
	var dead []backend.Process
	for _, d := range f.deaths {
		if name, ok := f.ledger.names[uint32(d.process)]; ok {
			dead = append(dead, name)
		}
	}
	members, err := rdb.ZRange(context.Background(), queue, 0, -1).Result()
	if err != nil {
		return false
	}
	if left, err := rdb.PTTL(context.Background(), queue).Result(); err != nil || left <= 0 {
		return false
	}
	return f.wentBack || !slices.ContainsFunc(members, func(m string) bool { return !slices.Contains(dead, backend.Entry(m).Process()) })
}

// connections is how many a server has from processes of a fleet.
func connections(rdb *redis.Client) (int, error) {
	list, err := rdb.ClientList(context.Background()).Result()
	return strings.Count(list, " name="+clientName+" "), err
}
