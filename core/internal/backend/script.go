package backend

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"fmt"

	"github.com/redis/go-redis/v9"
)

var (
	//go:embed script/prelude.lua
	preludeSource string
	//go:embed script/library.lua
	librarySource string
	//go:embed script/acquire.lua
	acquireSource string
	//go:embed script/release.lua
	releaseSource string
	//go:embed script/renew.lua
	renewSource string
	//go:embed script/cancel.lua
	cancelSource string
	//go:embed script/inspect.lua
	inspectSource string
	//go:embed script/break.lua
	breakSource string
	//go:embed script/listening.lua
	listeningSource string
	//go:embed script/main.lua
	mainSource string
)

// script is the one that carries out every operation.
type script struct{ source, sha string }

// What differs on a cluster. Sharded channels are in the slot of the keys, so that
// a script's node knows who listens; and names come as arguments where one call is
// for several slots, see executor.
const (
	singleWords  = "local SHARDED, PUBLISH, NUMSUB = false, 'PUBLISH', 'NUMSUB'\n"
	clusterWords = "local SHARDED, PUBLISH, NUMSUB = true, 'SPUBLISH', 'SHARDNUMSUB'\n"

	declared     = "local NAMES, NAMED, FIRST = KEYS, 0, 2\n"
	clusterNames = declared + "if ARGV[1] ~= '0' then NAMES, NAMED, FIRST = ARGV, 1, 2 + ARGV[1] end\n"
)

func newScript(words string) script {
	source := words + statusWords() + kindWords() + preludeSource +
		"local function library()\n" +
		librarySource + acquireSource + releaseSource + renewSource + cancelSource + inspectSource + breakSource + listeningSource +
		"return ops\nend\n" +
		mainSource
	return scriptOf(source)
}

func scriptOf(source string) script {
	sum := sha1.Sum([]byte(source)) // what EVALSHA goes by
	return script{source, hex.EncodeToString(sum[:])}
}

// call is the script's, for the operations of g, whose keys are in one slot. head is
// its first argument: to a single server, what channels' names start with; to a
// cluster's node, "0".
//
// It is one command of the caller's client, with all its hooks and limits, but
// is sent once: see once.
func (s script) call(ctx context.Context, head string, g group) once {
	n := g.len()
	args := make([]any, 3, 4+8*n)
	args[0], args[1], args[2] = "evalsha", s.sha, 3*n
	for i := range n {
		args = g.op(i).appendKeys(args)
	}
	args = append(args, head)
	for i := range n {
		args = g.op(i).appendArgs(args)
	}
	return once{redis.NewCmd(ctx, args...)}
}

// scattered is a call for operations whose keys are in several slots of one node: it
// declares none.
func (s script) scattered(ctx context.Context, tasks []*call) once {
	n := len(tasks)
	args := make([]any, 4, 4+8*n)
	args[0], args[1], args[2], args[3] = "evalsha", s.sha, 0, 3*n
	for i := range tasks {
		args = tasks[i].op.appendKeys(args)
	}
	for i := range tasks {
		args = tasks[i].op.appendArgs(args)
	}
	return once{redis.NewCmd(ctx, args...)}
}

// whole is the same call for a server that does not know the script: it was
// restarted, or is new after a failover.
func (s script) whole(ctx context.Context, call once) once {
	args := call.Args()
	args[0], args[1] = "eval", s.source
	return once{redis.NewCmd(ctx, args...)}
}

func unknownScript(err error) bool {
	return err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") // which allocates, whatever it is asked
}

// batch is the operations of one flight, and what an attempt to carry them out
// brought for each. The results are the attempt's own: one that is given up may end
// later, beside another.
type batch struct {
	calls   []*call
	results []result
}

// result is what an attempt brought for one operation.
type result struct {
	reply   any
	err     error
	unacked *AckError
}

// newBatch returns a batch without results.
func newBatch(tasks []*call) batch { return batch{tasks, make([]result, len(tasks))} }

// group is the operations of one call: some of those of a flight, or all.
type group struct {
	batch
	pick []uint8 // which of them; nil is all
}

func (g group) len() int {
	if g.pick != nil {
		return len(g.pick)
	}
	return len(g.calls)
}

func (g group) at(i int) int {
	if g.pick != nil {
		return int(g.pick[i])
	}
	return i
}

func (g group) op(i int) *Op         { return &g.calls[g.at(i)].op }
func (g group) result(i int) *result { return &g.results[g.at(i)] }

// fail gives each operation the same error.
func (g group) fail(err error) {
	for i := range g.len() {
		*g.result(i) = result{err: err}
	}
}

// take gives each operation its part of a call's answer, or its error.
func (g group) take(call once, err error) error {
	var replies []any
	if err == nil {
		replies, err = call.Slice()
	}
	n := g.len()
	if err == nil && len(replies) != n {
		err = fmt.Errorf("redis: %d replies for %d operations", len(replies), n)
	}
	for i := range n {
		r := g.result(i)
		r.reply, r.err = nil, err
		if err == nil {
			r.reply = replies[i]
		}
	}
	return err
}
