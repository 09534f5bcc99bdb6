package core_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// While a slot is on its way its node points to the other one, where a client must
// say that it was sent (ASKING), which is a command like all others to an ACL.
func TestLocksOfASlotThatMovesUnderTheDocumentedRights(t *testing.T) {
	t.Parallel()
	_, _, line := documentedRights(t)
	c := locktest.StartCluster(t, 3, 0)
	admins := map[string]*redis.Client{}
	for _, n := range c.Nodes() {
		admins[n.Addr()] = allow(t, n.Client(nil), line)
	}
	l := newLocker(t, c.Client(&redis.ClusterOptions{Username: "locks", Password: "password", DisableIdentity: true}))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	lock := must[core.Lock](t)(l.Acquire(ctx, "k"))
	name := leaseName(t, c.Client(nil), "k")
	if err := lock.Release(ctx); err != nil {
		t.Fatal(err)
	}

	source := c.Master(name)
	var target *locktest.Redis
	for _, n := range c.Nodes() {
		if n != source {
			target = n
		}
	}
	slot := must[int64](t)(admins[source.Addr()].ClusterKeySlot(ctx, name).Result())
	id := func(n *locktest.Redis) string { return must[string](t)(admins[n.Addr()].ClusterMyID(ctx).Result()) }
	set := func(at *locktest.Redis, args ...any) {
		t.Helper()
		if err := admins[at.Addr()].Do(ctx, append([]any{"cluster", "setslot", slot}, args...)...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	set(target, "importing", id(source))
	set(source, "migrating", id(target))
	for _, fence := range admins[source.Addr()].ClusterGetKeysInSlot(ctx, int(slot), 10).Val() {
		// Has moved, like all that there was.
		if err := admins[source.Addr()].Migrate(ctx, "127.0.0.1", strings.TrimPrefix(target.Addr(), "127.0.0.1:"), fence, 0, time.Second).Err(); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() { done <- l.Do(ctx, "k", func(context.Context) error { return nil }) }()
	select {
	case err := <-done:
		t.Errorf("%v, want it to wait for the slot", err)
		done <- nil
	case <-time.After(300 * time.Millisecond): // nothing happens, which is what is tested
	}
	for _, n := range []*locktest.Redis{target, source} {
		set(n, "node", id(target))
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, admin := range admins {
		if r := refusals(t, admin); len(r) != 0 {
			t.Errorf("the ACL has refused %q", r)
		}
	}
}
