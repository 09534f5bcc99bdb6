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

func newScript() script {
	source := preludeSource +
		"local function library()\n" +
		librarySource + acquireSource + releaseSource + renewSource + cancelSource + inspectSource + breakSource +
		"return ops\nend\n" +
		mainSource
	sum := sha1.Sum([]byte(source)) // what EVALSHA goes by
	return script{source, hex.EncodeToString(sum[:])}
}

// run carries tasks out in one call, and returns a reply for each.
//
// It is one command of the caller's client, with all its hooks and limits, but
// is sent once: see once.
func (s script) run(ctx context.Context, rdb redis.UniversalClient, prefix string, tasks []task) ([]any, error) {
	args := make([]any, 3, 4+8*len(tasks))
	args[0], args[1], args[2] = "evalsha", s.sha, 3*len(tasks)
	for i := range tasks {
		args = tasks[i].op.appendKeys(args)
	}
	args = append(args, prefix)
	for i := range tasks {
		args = tasks[i].op.appendArgs(args)
	}
	cmd := once{redis.NewCmd(ctx, args...)}
	err := rdb.Process(ctx, cmd)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		// The server was restarted, or is new after a failover.
		args[0], args[1] = "eval", s.source
		cmd = once{redis.NewCmd(ctx, args...)}
		err = rdb.Process(ctx, cmd)
	}
	if err != nil {
		return nil, err
	}
	replies, err := cmd.Slice()
	if err == nil && len(replies) != len(tasks) {
		err = fmt.Errorf("redis: %d replies for %d operations", len(replies), len(tasks))
	}
	return replies, err
}
