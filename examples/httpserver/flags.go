package main

import (
	"flag"
	"fmt"
	"io"
)

// parseFlags returns flag.ErrHelp after it has written the help, and otherwise
// an error of one line.
func parseFlags(args []string, help io.Writer) (addr, redisAddr string, err error) {
	flags := flag.NewFlagSet("httpserver", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // on an error, it would write the whole help
	flags.StringVar(&addr, "addr", "127.0.0.1:8080", "listen on `host:port`")
	flags.StringVar(&redisAddr, "redis", "", "use the Redis at `host:port` instead of an embedded one")
	flags.Usage = func() {}
	switch err := flags.Parse(args); {
	case err == flag.ErrHelp:
		fmt.Fprintln(help, "usage: go run ./examples/httpserver [flags]")
		flags.SetOutput(help)
		flags.PrintDefaults()
		return "", "", err
	case err != nil:
		return "", "", fmt.Errorf("%w (-h lists the flags)", err)
	case flags.NArg() > 0:
		return "", "", fmt.Errorf("unexpected argument %q (-h lists the flags)", flags.Arg(0))
	}
	return addr, redisAddr, nil
}
