package remote

import "context"

// What the tests of package remote_test need of the inside. They cannot be in
// this package: locktest, which starts their servers, imports core, and core
// imports this package.

// Names returns what a key is called in Redis.
func (r *Room) Names(key string) (lease, queue, fence string) {
	n := r.names.names(key)
	return n.lease, n.queue, n.fence
}

// Channel returns the name of a process's channel.
func (r *Room) Channel(p Process) string { return r.names.channel(p) }

// Limit returns how many calls may be under way at once.
func (r *Room) Limit() int { return r.limit }

// Tokens returns o with another number of fencing tokens to reserve.
func (o Op) Tokens(n string) Op {
	o.c = n
	return o
}

// Trip carries several operations out in one script call, and returns the
// answer to each.
func (r *Room) Trip(ctx context.Context, ops ...Op) ([]Answer, error) {
	var keys []string
	args := []any{r.names.prefix}
	for _, o := range ops {
		keys, args = o.appendTo(r.names, keys, args)
	}
	replies, err := r.script.Run(ctx, r.rdb, keys, args...).Slice()
	answers := make([]Answer, len(replies))
	for i, v := range replies {
		answers[i].Reply, answers[i].Err = parseReply(v)
	}
	return answers, err
}
