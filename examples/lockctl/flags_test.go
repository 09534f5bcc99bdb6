package main

import (
	"errors"
	"flag"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func noEnv(string) string { return "" }

func TestFlagsSayWhatToDo(t *testing.T) {
	for _, c := range []struct {
		args []string
		want config
	}{
		{[]string{"ls"}, config{command: "ls"}},
		{[]string{"-json", "-prefix", "p", "inspect", "order:42"}, config{command: "inspect", key: "order:42", json: true, prefix: "p"}},
		{[]string{"break", "-now", "-yes", "k"}, config{command: "break", key: "k", now: true, yes: true}},
		{[]string{"break", "--", "-k"}, config{command: "break", key: "-k"}},
		{[]string{"watch"}, config{command: "watch", interval: time.Second}},
		{[]string{"watch", "-interval", "100ms", "-count", "3", "k"}, config{command: "watch", key: "k", interval: minInterval, count: 3}},
	} {
		got, err := parseFlags(c.args, noEnv, io.Discard)
		if c.want.prefix == "" {
			c.want.prefix = "latchkey"
		}
		got.server = server{}
		if err != nil || !same(got, c.want) {
			t.Errorf("%q: %+v, %v; want %+v", c.args, got, err, c.want)
		}
	}
}

func same(a, b config) bool {
	return a.prefix == b.prefix && a.json == b.json && a.command == b.command && a.key == b.key &&
		a.now == b.now && a.yes == b.yes && a.interval == b.interval && a.count == b.count
}

func TestWrongFlagsAreListedInOneLine(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want []string // what the line must name
	}{
		"no command":           {nil, []string{"ls", "inspect", "break", "watch"}},
		"an unknown command":   {[]string{"free"}, []string{"free", "break"}},
		"an unknown flag":      {[]string{"-colour", "ls"}, []string{"-colour"}},
		"a flag of another":    {[]string{"inspect", "-now", "k"}, []string{"inspect", "-now"}},
		"a key to ls":          {[]string{"ls", "k"}, []string{"ls", "k"}},
		"no key":               {[]string{"break"}, []string{"break", "KEY"}},
		"an empty key":         {[]string{"inspect", ""}, []string{"empty"}},
		"a flag after the key": {[]string{"break", "k", "-yes"}, []string{"-yes", "before KEY"}},
		"two servers":          {[]string{"-redis", "a:1", "-cluster", "b:1", "ls"}, []string{"-redis", "-cluster"}},
		"no nodes":             {[]string{"-cluster", ",", "ls"}, []string{"-cluster"}},
		"no master":            {[]string{"-sentinel", "a:1", "ls"}, []string{"-master"}},
		"no Sentinel":          {[]string{"-master", "m", "ls"}, []string{"-sentinel"}},
		"a cluster's URL":      {[]string{"-cluster", "a:1,redis://h:2", "ls"}, []string{"-cluster", "host:port", "URL"}},
		"a Sentinel's URL":     {[]string{"-sentinel", "rediss://h:1", "-master", "m", "ls"}, []string{"-sentinel", "host:port", "URL"}},
		"a node's socket":      {[]string{"-cluster", "unix:///run/redis.sock", "ls"}, []string{"-cluster", "host:port"}},
		"a node without port":  {[]string{"-cluster", "h", "ls"}, []string{"-cluster", "host:port"}},
		"a node with a user":   {[]string{"-cluster", "u:h:1", "ls"}, []string{"-cluster", "host:port"}},
		"several":              {[]string{"-master", "m", "watch", "-interval", "1ms", "-count", "-1"}, []string{"-sentinel", "-interval 1ms", "-count -1"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseFlags(c.args, noEnv, io.Discard)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not name %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q is more than a line", err)
			}
		})
	}
}

func TestHelpNamesEveryCommandFlagAndExitStatus(t *testing.T) {
	for _, args := range [][]string{{"-h"}, {"break", "-h"}} {
		var help strings.Builder
		if _, err := parseFlags(args, noEnv, &help); !errors.Is(err, flag.ErrHelp) {
			t.Fatalf("error = %v, want flag.ErrHelp", err)
		}
		for _, want := range []string{
			"ls", "inspect", "break", "watch", "-redis", "-cluster", "-sentinel", "-master", "-user", "-prefix", "-json",
			"-now", "-yes", "-interval", "-count", passwordEnv, "\n  0 ", "\n  1 ", "\n  2 ", "\n  3 ", "\n  4 ", "\n  130 ",
		} {
			if !strings.Contains(help.String(), want) {
				t.Errorf("%q: the help does not name %q", args, want)
			}
		}
	}
}

func TestThePasswordComesFromTheEnvironmentOrTheURL(t *testing.T) {
	env := func(name string) string {
		if name == passwordEnv {
			return "secret"
		}
		return ""
	}
	for _, c := range []struct {
		args           []string
		user, password string
		addr           string
	}{
		{[]string{"ls"}, "", "secret", "localhost:6379"},
		{[]string{"-user", "op", "-redis", "h:1", "ls"}, "op", "secret", "h:1"},
		{[]string{"-redis", "redis://u:p@h:2/0", "ls"}, "u", "p", "h:2"},
		{[]string{"-redis", "rediss://h:3", "-user", "op", "ls"}, "op", "secret", "h:3"},
	} {
		cfg, err := parseFlags(c.args, env, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		rdb, err := cfg.server.connect()
		if err != nil {
			t.Fatal(err)
		}
		defer rdb.Close()
		o := rdb.(*redis.Client).Options()
		if o.Username != c.user || o.Password != c.password || o.Addr != c.addr {
			t.Errorf("%q: %s:%s at %s", c.args, o.Username, o.Password, o.Addr)
		}
		if name := cfg.server.String(); strings.Contains(name, c.password) {
			t.Errorf("%q shows the password", name)
		}
	}
	cfg, err := parseFlags([]string{"-cluster", "a:1, b:2", "-user", "op", "ls"}, env, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	rdb, err := cfg.server.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer rdb.Close()
	if o := rdb.(*redis.ClusterClient).Options(); o.Username != "op" || o.Password != "secret" || len(o.Addrs) != 2 || o.Addrs[1] != "b:2" {
		t.Errorf("%+v", o)
	}
}

func TestAWrongAddressIsToldWithoutItsPassword(t *testing.T) {
	for _, addr := range []string{"localhost", "http://u:topsecret@h:1", "redis://u:topsecret@h:port", "redis://u:topsecret@h:1/%zz",
		"redis://:topsecret/x@h:1", "redis://:topsecret#@h:1", "u:topsecret@h:1"} {
		_, err := server{redis: addr}.connect()
		if err == nil || strings.Contains(err.Error(), "topsecret") || !strings.Contains(err.Error(), "-redis") {
			t.Errorf("%q: %v", addr, err)
		}
	}
}

func TestANodesURLIsToldWithoutItsPassword(t *testing.T) {
	for _, args := range [][]string{
		{"-cluster", "redis://u:topsecret@h:1", "ls"}, {"-cluster", "u:topsecret@h:1", "ls"},
		{"-sentinel", "redis://u:topsecret@h:1", "-master", "m", "ls"},
	} {
		if _, err := parseFlags(args, noEnv, io.Discard); err == nil || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestTheServersNameHasNoPassword(t *testing.T) {
	for addr, want := range map[string]string{
		"h:1": "h:1", "redis://u:topsecret@h:1/2": "h:1", "unix://u:topsecret@/run/redis.sock": "/run/redis.sock",
	} {
		if got := (server{redis: addr}).String(); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}
