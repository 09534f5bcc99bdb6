package backend

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
func (be *Backend) Channel(p Process) string { return be.names.channel(0, p) }

// ChannelOf returns the name of a process's channel for one subscription.
func (be *Backend) ChannelOf(e SubscriptionID, p Process) string { return be.names.channel(e, p) }

// Limits returns how many flights may be under way at once, without and with slow
// ones.
func (be *Backend) Limits() (trips, limit int) { return be.only.maxFlights, be.only.limit }

// Batchers is how many nodes of a cluster operations travel to.
func (be *Backend) Batchers() int {
	be.slotMap.mu.Lock()
	defer be.slotMap.mu.Unlock()
	return len(be.slotMap.batchers)
}

// Move has a subscription that is open listen at another server.
func (l *Listener) Move(e SubscriptionID, at redis.UniversalClient, sessions *sync.WaitGroup) {
	l.place(e, at, sessions)
}

// Strict has the backend's script meet servers that carry out none for several slots,
// as Redis does with one that begins so.
func (be *Backend) Strict() {
	be.slotMap.executor.script = scriptOf("#!lua\n" + newScript(clusterWords+clusterNames).source)
}

// Pipelines has the backend send a call for each bucket, as to servers that carry out
// no script for several slots.
func (be *Backend) Pipelines(on bool) { be.slotMap.executor.strict.Store(on) }

// Call has the handler be busy for a moment.
func (l *Listener) Call() { l.call(func() {}) }

// BeginAdmitted is Begin for an operation that was let in just before the backend
// closed.
func (be *Backend) BeginAdmitted(op Op) *InlineCall {
	return be.only.inlineCall(&call{backend: be, op: op})
}

// Together has operations on one node of a cluster travel in one flight.
func (be *Backend) Together(ops []Op, done func(i int, a Answer)) {
	l := be.slotMap.of(ops[0].names)
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, o := range ops {
		be.open.Add(1)
		l.enqueue(&call{backend: be, op: o, done: func(a Answer) { done(i, a) }})
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

// RoundTrip carries several operations out in one script call, and returns the
// answer to each.
func (be *Backend) RoundTrip(ctx context.Context, ops ...Op) ([]Answer, error) {
	var tasks []*call
	for _, o := range ops {
		tasks = append(tasks, &call{op: o})
	}
	b := newBatch(tasks)
	err := be.only.send(ctx, be.rdb, b)
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

// Old has the backend's script meet a server that is older than Redis 7: its SET
// takes no GET with NX, and its errors begin with their place in the script.
func (be *Backend) Old() {
	s := scriptOf(`
local new = redis
local redis = setmetatable({pcall = function(...)
  local said = {}
  for _, word in ipairs({...}) do said[word] = true end
  if said.SET and said.NX and said.GET then return {err = '@user_script: 7: ERR syntax error'} end
  return new.pcall(...)
end}, {__index = new})
` + newScript(singleWords+declared).source)
	c := newExecutor(be)
	c.script = s
	be.only.send = c.execBatch
}

// CheckSource is the script by which a Check tries commands on a single server.
func CheckSource() string { return singleWords + checkSource }
