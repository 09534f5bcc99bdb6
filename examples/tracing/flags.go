package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
)

type flags struct{ redis, otlp string }

// parseFlags returns flag.ErrHelp after it has written the help, and otherwise an
// error of one line.
func parseFlags(args []string, help io.Writer) (flags, error) {
	var f flags
	set := flag.NewFlagSet("tracing", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&f.redis, "redis", "", "use the Redis at `host:port`, or its redis:// URL, instead of an embedded one")
	set.StringVar(&f.otlp, "otlp", "", "send the traces to this OTLP/HTTP `URL`, such as http://127.0.0.1:4318, too")
	set.Usage = func() {}
	err := set.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(help, "usage: go run ./examples/tracing [flags]")
		set.SetOutput(help)
		set.PrintDefaults()
		return f, err
	}
	if err == nil && set.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	if err == nil && f.otlp != "" {
		var u *url.URL
		if u, err = url.Parse(f.otlp); err == nil && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
			err = fmt.Errorf("-otlp %s is not the URL of a collector", f.otlp)
		}
	}
	if err != nil {
		return f, fmt.Errorf("%w (-h lists the flags)", err)
	}
	return f, nil
}
