package backend_test

import (
	"context"
	"net"

	"github.com/latchkey-go/latchkey/core/locktest"
)

// split is the slot of a key on its way, with some of its Redis keys here and
// some there.
type split struct {
	s                   *clusterStage
	key                 string
	lease, queue, fence string
	source, target      *locktest.Redis
	rest                []*locktest.Redis
	over                bool
}

// split chooses a key of a node and another node that its slot will move to.
func (s *clusterStage) split(source *locktest.Redis) *split {
	s.Helper()
	sp := &split{s: s, key: s.key(source), source: source}
	sp.lease, sp.queue, sp.fence = s.be.Names(sp.key).Parts()
	for _, n := range s.Nodes()[:3] { // the masters
		switch {
		case n == source:
		case sp.target == nil:
			sp.target = n
		default:
			sp.rest = append(sp.rest, n)
		}
	}
	return sp
}

// begin sets the slot on its way: no key has moved.
func (sp *split) begin() {
	sp.s.Helper()
	sp.s.setSlot(sp.target, sp.fence, "IMPORTING", sp.s.id(sp.source))
	sp.s.setSlot(sp.source, sp.fence, "MIGRATING", sp.s.id(sp.target))
	sp.s.Cleanup(sp.end) // else the next would find it so
}

// move moves those of these Redis keys that exist.
func (sp *split) move(names ...string) {
	sp.s.Helper()
	host, port, err := net.SplitHostPort(sp.target.Addr())
	if err != nil {
		sp.s.Fatal(err)
	}
	args := []any{"MIGRATE", host, port, "", 0, 2000, "REPLACE", "KEYS"}
	for _, n := range names {
		args = append(args, n)
	}
	if err := sp.s.node(sp.source).Do(context.WithoutCancel(sp.s.Context()), args...).Err(); err != nil {
		sp.s.Fatal(err)
	}
}

// end moves what is left, also by those who were here before, and has the target
// own the slot.
func (sp *split) end() {
	sp.s.Helper()
	if sp.over {
		return
	}
	sp.over = true
	source := sp.s.node(sp.source)
	slot := int(ok(source.ClusterKeySlot(context.WithoutCancel(sp.s.Context()), sp.fence).Result())(sp.s))
	if left := ok(source.ClusterGetKeysInSlot(context.WithoutCancel(sp.s.Context()), slot, 1000).Result())(sp.s); len(left) > 0 {
		sp.move(left...)
	}
	for _, n := range append([]*locktest.Redis{sp.target, sp.source}, sp.rest...) {
		sp.s.setSlot(n, sp.fence, "NODE", sp.s.id(sp.target))
	}
}
