package remote

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/redis/go-redis/v9"
)

// What the tests of package remote_test need of the inside. They cannot be in
// this package: locktest, which starts their servers, imports core, and core
// imports this package.

// Parts returns what a key's lease, its queue and its bucket's counter are
// called.
func (n Names) Parts() (lease, queue, fence string) { return n.lease, n.queue, n.fence }

// Channel returns the name of a process's channel.
func (r *Room) Channel(p Process) string { return r.names.channel(0, p) }

// ChannelOf returns the name of a process's channel for one ear.
func (r *Room) ChannelOf(e Ear, p Process) string { return r.names.channel(e, p) }

// Limits returns how many trips may be under way at once, without and with slow
// ones.
func (r *Room) Limits() (trips, limit int) { return r.single.trips, r.single.limit }

// Lanes is how many nodes of a cluster operations travel to.
func (r *Room) Lanes() int {
	r.places.mu.Lock()
	defer r.places.mu.Unlock()
	return len(r.places.lanes)
}

// Move has an ear that is open listen at another server.
func (l *Listener) Move(e Ear, at redis.UniversalClient, sessions *sync.WaitGroup) {
	l.place(e, at, sessions)
}

// Strict has the room's script meet servers that carry out none for several slots,
// as Redis does with one that begins so.
func (r *Room) Strict() {
	r.places.courier.script = scriptOf("#!lua\n" + newScript(clusterWords+clusterNames).source)
}

// Pipelines has the room send a call for each bucket, as to servers that carry out
// no script for several slots.
func (r *Room) Pipelines(on bool) { r.places.courier.strict.Store(on) }

// Call has the handler be busy for a moment.
func (l *Listener) Call() { l.call(func() {}) }

// BeginAdmitted is Begin for an operation that was let in just before the room
// closed.
func (r *Room) BeginAdmitted(op Op) *Lone { return r.single.begin(&task{room: r, op: op}) }

// Together has operations on one node of a cluster travel in one trip.
func (r *Room) Together(ops []Op, done func(i int, a Answer)) {
	l := r.places.of(ops[0].names)
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, o := range ops {
		r.open.Add(1)
		l.enqueue(&task{room: r, op: o, done: func(a Answer) { done(i, a) }})
	}
	l.start()
}

// Wanting returns e with another number of fencing tokens to reserve.
func (e Entry) Wanting(tokens int) Entry {
	return e[:wantAt] + Entry(fmt.Sprintf("%05d", tokens)) + e[metaAt:]
}

// Tokens is how many fencing tokens e asks for.
func (e Entry) Tokens() int {
	n, _ := strconv.Atoi(string(e[wantAt:metaAt]))
	return n
}

// Trip carries several operations out in one script call, and returns the
// answer to each.
func (r *Room) Trip(ctx context.Context, ops ...Op) ([]Answer, error) {
	var tasks []*task
	for _, o := range ops {
		tasks = append(tasks, &task{op: o})
	}
	b := newBatch(tasks)
	err := r.single.send(ctx, r.rdb, b)
	var answers []Answer
	for _, k := range b.results {
		a := Answer{Err: k.err}
		if a.Err == nil {
			a.Reply, a.Err = parseReply(k.reply)
		}
		answers = append(answers, a)
	}
	return answers, err
}

// Old has the room's script meet a server that is older than Redis 7: its SET
// takes no GET with NX, and its errors begin with their place in the script.
func (r *Room) Old() {
	s := scriptOf(`
local new = redis
local redis = setmetatable({pcall = function(...)
  local said = {}
  for _, word in ipairs({...}) do said[word] = true end
  if said.SET and said.NX and said.GET then return {err = '@user_script: 7: ERR syntax error'} end
  return new.pcall(...)
end}, {__index = new})
` + newScript(singleWords+declared).source)
	c := newCourier(r)
	c.script = s
	r.single.send = c.together
}

// CheckSource is the script by which a Check tries commands on a single server.
func CheckSource() string { return singleWords + checkSource }
