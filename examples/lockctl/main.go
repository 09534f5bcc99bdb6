// Lockctl shows and breaks locks: what an operator does at three in the morning.
//
//	go run ./examples/lockctl -redis localhost:6379 ls
//	go run ./examples/lockctl inspect order:42
//	go run ./examples/lockctl break order:42
//	go run ./examples/lockctl watch
//
// It is a small program over core's Inspect, Leases, Break and BreakNow, to be
// used or to be copied from. Run it with -h for its flags and exit statuses.
//
// Keys and holders are data from requests: what it prints is not for strangers.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/mattn/go-isatty"
	"github.com/redis/go-redis/v9/logging"

	"github.com/latchkey-go/latchkey/core"
)

// The exit statuses, which usage documents.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotThere    = 3
	exitUnconfirmed = 4
	exitInterrupted = 130
)

func main() {
	logging.Disable() // go-redis logs every dial that fails; what came of it is said once
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	os.Exit(run(ctx, os.Args[1:], console{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		terminal: isatty.IsTerminal(os.Stdin.Fd()), env: os.Getenv,
	}))
}

// console is where the program is run.
type console struct {
	in       io.Reader
	out, err io.Writer
	terminal bool // somebody can answer at in
	env      func(string) string
}

// run does what args say and returns the exit status.
func run(ctx context.Context, args []string, c console) int {
	cfg, err := parseFlags(args, c.env, c.out)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintf(c.err, "lockctl: %v (-h shows how it is used)\n", err)
		return exitUsage
	}
	rdb, err := cfg.server.connect()
	if err != nil {
		fmt.Fprintf(c.err, "lockctl: %v\n", err)
		return exitUsage
	}
	defer rdb.Close()
	locker, err := core.New(rdb, core.Prefix(cfg.prefix))
	if err != nil {
		fmt.Fprintf(c.err, "lockctl: %v\n", err)
		return exitUsage
	}
	defer locker.Close()

	t := &tool{console: c, config: cfg, locker: locker}
	err = commands[cfg.command](t, ctx)
	if err != nil && err != errFree {
		fmt.Fprintf(c.err, "lockctl: %s\n", t.explain(err))
	}
	return exitStatus(err)
}

// tool is one run of the program.
type tool struct {
	console
	config
	locker *core.RedisLocker
}

var commands = map[string]func(*tool, context.Context) error{
	"ls":      (*tool).list,
	"inspect": (*tool).inspect,
	"break":   (*tool).breakLease,
	"watch":   (*tool).watch,
}
