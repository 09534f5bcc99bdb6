package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"
)

// passwordEnv is redis-cli's own: a password in an argument would be seen by
// everybody on the machine.
const passwordEnv = "REDISCLI_AUTH"

const usage = `usage: lockctl [flags] ls
       lockctl [flags] inspect KEY
       lockctl [flags] break [-now] [-yes] KEY
       lockctl [flags] watch [-interval 1s] [-count N] [KEY]

  ls       list all leases under the prefix
  inspect  show who holds KEY, and who is in line for it
  break    take KEY from its holder: it is told to stop, and nobody else enters
           before it has, or before its lease expires. With -now the next in line
           enters at once, beside a holder that is still running
  watch    inspect KEY, or list all leases, again and again until Ctrl-C

flags:
`

const notes = `
The password is read from the environment variable REDISCLI_AUTH, or from a
redis:// URL (rediss:// for TLS; -cluster and -sentinel are without). A KEY that
begins with a dash comes after --.

exit status:
  0    done; for watch, also when it is interrupted
  1    Redis cannot be reached or refuses, or what it has for KEY is no lease
  2    wrong flags
  3    nobody holds KEY, or another lease is there than the one that was shown
  4    break was not confirmed
  130  interrupted
`

// config is what the flags say.
type config struct {
	server  server
	prefix  string
	json    bool
	command string
	key     string // "" for all

	now, yes bool // break
	interval time.Duration
	count    int // watch; 0 is no end
}

// minInterval keeps watch from being a load.
const minInterval = 100 * time.Millisecond

// parseFlags returns flag.ErrHelp after it has written the help, and otherwise an
// error that lists everything that is wrong, in one line.
func parseFlags(args []string, env func(string) string, help io.Writer) (config, error) {
	c := config{server: server{password: env(passwordEnv)}}
	var cluster, sentinel string
	fs := quietFlags("lockctl")
	fs.StringVar(&c.server.redis, "redis", "localhost:6379", "the Redis at `host:port`, or its redis:// URL")
	fs.StringVar(&cluster, "cluster", "", "nodes of a Redis Cluster, `host:port,...`, instead of -redis")
	fs.StringVar(&sentinel, "sentinel", "", "Sentinels, `host:port,...`, instead of -redis; with -master")
	fs.StringVar(&c.server.master, "master", "", "the `name` of the master that the Sentinels watch")
	fs.StringVar(&c.server.user, "user", "", "the ACL `user`, if not the default one")
	fs.StringVar(&c.prefix, "prefix", "latchkey", "what the service gave to core.Prefix")
	fs.BoolVar(&c.json, "json", false, "print one JSON object per line (durations in ns)")
	writeHelp := func() {
		fmt.Fprint(help, usage)
		fs.SetOutput(help)
		fs.PrintDefaults()
		fmt.Fprint(help, notes)
	}
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			writeHelp()
		}
		return config{}, err
	}
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	c.server.cluster, c.server.sentinel = addresses(cluster), addresses(sentinel)

	if fs.NArg() == 0 {
		return config{}, errors.New("no command: ls, inspect, break or watch")
	}
	c.command = fs.Arg(0)
	own := quietFlags(c.command)
	keys := 1 // at the most; for inspect and break, exactly
	switch c.command {
	case "ls":
		keys = 0
	case "inspect":
	case "break":
		own.BoolVar(&c.now, "now", false, "")
		own.BoolVar(&c.yes, "yes", false, "")
	case "watch":
		own.DurationVar(&c.interval, "interval", time.Second, "")
		own.IntVar(&c.count, "count", 0, "")
	default:
		return config{}, fmt.Errorf("%q is no command: ls, inspect, break or watch", c.command)
	}
	if err := own.Parse(fs.Args()[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			writeHelp()
			return config{}, err
		}
		return config{}, fmt.Errorf("%s: %w", c.command, err)
	}
	c.key = own.Arg(0)

	var faults []string
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Sprintf(format, args...))
		}
	}
	servers := 0
	for _, name := range []string{"redis", "cluster", "sentinel"} {
		if given[name] {
			servers++
		}
	}
	check(servers <= 1, "only one of -redis, -cluster and -sentinel can be given")
	check(!given["cluster"] || len(c.server.cluster) > 0, "-cluster names no node")
	check(!given["sentinel"] || len(c.server.sentinel) > 0, "-sentinel names no Sentinel")
	check(hostPorts(c.server.cluster), "-cluster takes host:port,...: a URL is for -redis alone (its user is -user, its password %s)", passwordEnv)
	check(hostPorts(c.server.sentinel), "-sentinel takes host:port,...: a URL is for -redis alone (its user is -user, its password %s)", passwordEnv)
	check(given["sentinel"] == given["master"], "-sentinel and -master go together")
	check(own.NArg() <= keys, "%s: too many arguments from %q on (flags come before KEY)", c.command, own.Arg(keys))
	check(own.NArg() > 0 || c.command == "ls" || c.command == "watch", "%s: which KEY?", c.command)
	check(!slices.Contains(own.Args(), ""), "%s: KEY is empty", c.command)
	check(c.command != "watch" || c.interval >= minInterval, "-interval %v is less than %v", c.interval, minInterval)
	check(c.count >= 0, "-count %d is negative", c.count)
	if len(faults) > 0 {
		return config{}, errors.New(strings.Join(faults, "; "))
	}
	return c, nil
}

// quietFlags are flags whose errors are told by the caller, in one line.
func quietFlags(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	return fs
}

// hostPorts reports whether all are addresses. What is none may have a password.
func hostPorts(addrs []string) bool {
	return !slices.ContainsFunc(addrs, func(addr string) bool {
		_, _, err := net.SplitHostPort(addr)
		return err != nil || strings.ContainsAny(addr, "/@")
	})
}

func addresses(list string) []string {
	var addrs []string
	for a := range strings.SplitSeq(list, ",") {
		if a = strings.TrimSpace(a); a != "" {
			addrs = append(addrs, a)
		}
	}
	return addrs
}
