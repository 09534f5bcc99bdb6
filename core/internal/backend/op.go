package backend

import (
	"fmt"
	"strconv"
	"strings"
)

// kind is what an operation does.
type kind uint8

const (
	acquire kind = iota
	release
	releaseFrom  // a release that names the last holder
	releasePlain // a release that gives no tokens back and queues nobody
	renew
	cancel
	inspect
	breakLease
	listening
)

// kinds is the one table of operations, for Go and for the script: their names on the
// wire, and how many arguments of their own they have.
var kinds = [...]struct {
	name string
	args int
}{
	acquire:      {"acquire", 1},
	release:      {"release", 3},
	releaseFrom:  {"release_from", 4},
	releasePlain: {"release_plain", 0},
	renew:        {"renew", 2},
	cancel:       {"cancel", 0},
	inspect:      {"inspect", 0},
	breakLease:   {"break_lease", 1}, // break is a word of Lua's
	listening:    {"listening", 0},
}

// kindWords tells the script how many arguments follow the name and the subject of an
// operation, if any.
func kindWords() string {
	var sizes []string
	for _, k := range kinds {
		if k.args > 0 {
			sizes = append(sizes, fmt.Sprintf("%s = %d", k.name, k.args))
		}
	}
	return "local ARGS = {" + strings.Join(sizes, ", ") + "}\n"
}

// Op is one operation on one key.
type Op struct {
	kind    kind
	names   Names
	subject string // the entry; for a release, its identity
	// args are the operation's own arguments, in the script's order.
	args [4]string
}

// maxTokens is the most fencing tokens that can be reserved at once: an entry
// has five digits for it.
const maxTokens = 99_999

// Acquire asks for the lease. If it is held, the entry joins the queue when
// wait is set, unless queueCap others, at least one, are in it.
func Acquire(k Names, e Entry, wait bool, queueCap int) Op {
	c := "0"
	if wait {
		c = strconv.Itoa(queueCap)
	}
	return Op{kind: acquire, names: k, subject: string(e), args: [4]string{c}}
}

// Release gives the lease back, if the entry of this identity owns it: used is the last token given out, reserved the
// last that was reserved for the lease. If requeue is not empty it joins the
// queue in the same operation.
func Release(k Names, id ID, used, reserved uint64, requeue Entry) Op {
	if used >= reserved && requeue == "" {
		return Op{kind: releasePlain, names: k, subject: string(id)}
	}
	o := Op{kind: release, names: k, subject: string(id), args: [4]string{2: string(requeue)}}
	if used < reserved {
		o.args[0], o.args[1] = strconv.FormatUint(used, 10), strconv.FormatUint(reserved, 10)
	}
	return o
}

// From has a release that was returned by Release tell the next owner that the last
// one's metadata is meta. It is for when the lease has been passed on in its process:
// its own metadata is that of a holder before.
func (o Op) From(meta string) Op {
	o.kind, o.args[3] = releaseFrom, meta
	return o
}

// Renew prolongs the lease. If refreshed is not empty, its metadata replaces
// the lease's. If tokens is not 0, as many more fencing tokens are reserved.
func Renew(k Names, e, refreshed Entry, tokens int) Op {
	return Op{
		kind: renew, names: k, subject: string(e),
		args: [4]string{string(refreshed), strconv.Itoa(max(0, min(tokens, maxTokens)))},
	}
}

// Cancel gives the entry up, whatever has become of it.
func Cancel(k Names, e Entry) Op { return Op{kind: cancel, names: k, subject: string(e)} }

// Inspect asks who holds the lease and who waits for it: the first of them, as many
// as most, which is at least 1.
func Inspect(k Names, most int) Op {
	return Op{kind: inspect, names: k, subject: strconv.Itoa(most)}
}

// Break marks the lease as broken, if the entry of this identity owns it: it is not
// prolonged any more. At once, it is taken away and passed on.
func Break(k Names, id ID, atOnce bool) Op {
	o := Op{kind: breakLease, names: k, subject: string(id)}
	if atOnce {
		o.args[0] = "1"
	}
	return o
}

// AskListening asks whether the server knows that p listens for what is about k.
func AskListening(k Names, p Process) Op { return Op{kind: listening, names: k, subject: string(p)} }

// appendKeys appends the Redis keys of o, as the script wants them.
func (o *Op) appendKeys(args []any) []any {
	return append(args, o.names.lease, o.names.queue, o.names.fence)
}

// appendArgs appends the name and the arguments of o.
func (o *Op) appendArgs(args []any) []any {
	k := &kinds[o.kind]
	args = append(args, k.name, o.subject)
	for _, a := range o.args[:k.args] {
		args = append(args, a)
	}
	return args
}
