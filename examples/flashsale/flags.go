package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/examples/flashsale/internal/shop"
)

// config is what the flags say.
type config struct {
	modes    []mode
	buyers   int
	units    int
	inFlight int
	box      time.Duration
	think    shop.Thinking
	redis    string // empty: the embedded one

	serve     bool
	httpAddrs [replicas]string
	grpcAddrs [replicas]string
}

// replicas is how many instances of the service share the work.
const replicas = 2

// anyPort is a free port on the loopback interface.
const anyPort = "127.0.0.1:0"

const usage = `usage: go run ./examples/flashsale [flags]

A flash sale: a crowd of buyers, half over HTTP and half over gRPC, wants what
there is too little of, from two replicas of one shop. It runs without a lock,
with the lock of the flash-sale articles, and with Latchkey, and prints the
three side by side.

flags:
`

const exits = `
exit status:
  0    the sale is over, and Latchkey kept its promises
  1    Latchkey oversold, lost an order, repeated an order ID or sold nothing;
       or the program itself failed
  2    wrong flags, Redis out of reach, or a port in use
  130  interrupted; the report covers what was sold until then
`

// parseFlags returns flag.ErrHelp after it has written the help to help, and
// otherwise an error that lists everything that is wrong, in one line.
func parseFlags(args []string, help io.Writer) (config, error) {
	var c config
	var modes, httpAddrs, grpcAddrs string
	var think time.Duration
	fs := flag.NewFlagSet("flashsale", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // its own message is several lines
	fs.StringVar(&modes, "mode", "all", "what protects the stock: all, none, recipe or latchkey")
	fs.IntVar(&c.buyers, "buyers", 2000, "how many `people` want one unit each")
	fs.IntVar(&c.units, "units", 200, "how many `units` there are")
	fs.IntVar(&c.inFlight, "concurrency", 100, "how many `buyers` are in the shop at once")
	fs.DurationVar(&c.box, "box", 5*time.Second, "how long each mode lets buyers in")
	fs.DurationVar(&think, "think", 2*time.Millisecond, "the shop's pause between reading the stock and writing it")
	fs.StringVar(&c.redis, "redis", "", "a real Redis at `host:port`, instead of the embedded one")
	fs.BoolVar(&c.serve, "serve", false, "run the two replicas until Ctrl-C, without a crowd")
	fs.StringVar(&httpAddrs, "http", "", "with -serve, the replicas' HTTP `addresses`, host:port,host:port (default: free ports)")
	fs.StringVar(&grpcAddrs, "grpc", "", "with -serve, the replicas' gRPC `addresses`, host:port,host:port (default: free ports)")

	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(help, usage)
			fs.SetOutput(help)
			fs.PrintDefaults()
			fmt.Fprint(help, exits)
		}
		return config{}, err
	}
	given := make(map[string]bool)
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })

	var faults []string
	check := func(err error) {
		if err != nil {
			faults = append(faults, err.Error())
		}
	}
	if fs.NArg() > 0 {
		check(fmt.Errorf("%q is not a flag", fs.Arg(0)))
	}
	var err error
	c.modes, err = parseModes(modes)
	check(err)
	check(positive("-buyers", c.buyers))
	check(positive("-units", c.units))
	if c.units > math.MaxInt32 {
		check(fmt.Errorf("-units %d is more than %d", c.units, math.MaxInt32)) // shop.proto's int32
	}
	check(positive("-concurrency", c.inFlight))
	check(positive("-box", c.box))
	if c.box > core.MaxWait {
		check(fmt.Errorf("-box %v is more than %v", c.box, core.MaxWait)) // it is the longest wait, too
	}
	check(positive("-think", think))
	c.think = shop.ThinkFor(think)
	check(checkRedis(c.redis))
	c.httpAddrs, err = parseAddrs("-http", httpAddrs)
	check(err)
	c.grpcAddrs, err = parseAddrs("-grpc", grpcAddrs)
	check(err)
	switch {
	case !c.serve && (given["http"] || given["grpc"]):
		check(errors.New("-http and -grpc are for -serve"))
	case c.serve && !given["mode"]:
		c.modes = []mode{modeLatchkey}
	case c.serve && len(c.modes) > 1:
		check(errors.New("-serve takes one -mode"))
	}
	if len(faults) > 0 {
		return config{}, errors.New(strings.Join(faults, "; "))
	}
	return c, nil
}

func positive[N int | time.Duration](name string, n N) error {
	if n <= 0 {
		return fmt.Errorf("%s %v is not above zero", name, n)
	}
	return nil
}

func checkRedis(addr string) error {
	if addr == "" {
		return nil
	}
	if strings.Contains(addr, "://") { // and may have a password
		return errors.New("-redis is a URL, and takes host:port: what stands between :// (or an @) and the next slash")
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return fmt.Errorf("-redis %q is not host:port", addr)
	}
	return nil
}

func parseAddrs(name, s string) (addrs [replicas]string, err error) {
	if s == "" {
		for i := range addrs {
			addrs[i] = anyPort
		}
		return addrs, nil
	}
	parts := strings.Split(s, ",")
	if len(parts) != len(addrs) {
		return addrs, fmt.Errorf("%s %q is not %d addresses with commas between", name, s, len(addrs))
	}
	for i, part := range parts {
		if _, _, err := net.SplitHostPort(part); err != nil {
			return addrs, fmt.Errorf("%s: %q is not host:port", name, part)
		}
		addrs[i] = part
	}
	return addrs, nil
}
