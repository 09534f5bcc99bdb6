package remote

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
	//go:embed script/main.lua
	mainSource string
)

// script is the one that carries out every operation.
type script struct{ source, sha string }

// How scripts reach a process. A cluster does not tell a script's node who
// listens elsewhere, except on channels that are in the script's own slot: there
// every process listens to a channel of each bucket that it waits in.
const (
	singleWords  = "local PUBLISH, NUMSUB = 'PUBLISH', 'NUMSUB'\n"
	clusterWords = "local PUBLISH, NUMSUB = 'SPUBLISH', 'SHARDNUMSUB'\n"
)

func newScript(words string) script {
	source := words + preludeSource +
		"local function library()\n" +
		librarySource + acquireSource + releaseSource + renewSource + cancelSource + inspectSource + breakSource +
		"return ops\nend\n" +
		mainSource
	sum := sha1.Sum([]byte(source)) // what EVALSHA goes by
	return script{source, hex.EncodeToString(sum[:])}
}

// call is the script's, for tasks whose keys are all in one slot. channels is
// what the names of the processes' channels start with.
//
// It is one command of the caller's client, with all its hooks and limits, but
// is sent once: see once.
func (s script) call(ctx context.Context, channels string, g group) once {
	n := g.len()
	args := make([]any, 3, 4+8*n)
	args[0], args[1], args[2] = "evalsha", s.sha, 3*n
	for i := range n {
		args = g.at(i).op.appendKeys(args)
	}
	args = append(args, channels)
	for i := range n {
		args = g.at(i).op.appendArgs(args)
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

func unknownScript(err error) bool { return redis.HasErrorPrefix(err, "NOSCRIPT") }

// group is the tasks of one call: some of those of a trip, or all.
type group struct {
	tasks []task
	pick  []uint8 // which of them; nil is all
}

func (g group) len() int {
	if g.pick != nil {
		return len(g.pick)
	}
	return len(g.tasks)
}

func (g group) at(i int) *task {
	if g.pick != nil {
		i = int(g.pick[i])
	}
	return &g.tasks[i]
}

// take gives each task its part of a call's answer, or its error.
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
		k := g.at(i)
		k.reply, k.err = nil, err
		if err == nil {
			k.reply = replies[i]
		}
	}
	return err
}
