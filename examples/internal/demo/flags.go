package demo

import (
	"errors"
	"flag"
	"fmt"
	"io"
)

// ParseFlags parses the flags -addr and -redis of the example of that name.
// Without -redis, redisAddr is empty. It returns flag.ErrHelp after it has
// written the help, and otherwise an error of one line.
func ParseFlags(name, defaultAddr string, args []string, help io.Writer) (addr, redisAddr string, err error) {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // on an error, it would write the whole help
	flags.StringVar(&addr, "addr", defaultAddr, "listen on `host:port`")
	flags.StringVar(&redisAddr, "redis", "", "use the Redis at `host:port`, or its redis:// URL, instead of an embedded one")
	flags.Usage = func() {}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(help, "usage: go run ./examples/%s [flags]\n", name)
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
