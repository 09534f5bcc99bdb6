package main

import (
	"errors"
	"flag"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWithoutFlagsTheSaleIsTheDocumentedOne(t *testing.T) {
	c, err := parseFlags(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.modes, allModes) || c.buyers != 2000 || c.units != 200 || c.inFlight != 100 ||
		c.box != 5*time.Second || c.redis != "" || c.serve {
		t.Errorf("defaults = %+v", c)
	}
}

func TestServeIsLatchkeyUnlessAModeIsGiven(t *testing.T) {
	for _, c := range []struct {
		args []string
		want mode
	}{
		{[]string{"-serve"}, modeLatchkey},
		{[]string{"-serve", "-mode", "none"}, modeNone},
		{[]string{"-serve", "-http", "127.0.0.1:8080,:8081"}, modeLatchkey},
	} {
		got, err := parseFlags(c.args, io.Discard)
		if err != nil || len(got.modes) != 1 || got.modes[0] != c.want {
			t.Errorf("%v: modes %v, error %v; want %v", c.args, got.modes, err, c.want)
		}
	}
}

func TestWrongFlagsAreListedInOneLine(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want []string // what the line must name
	}{
		"an unknown flag":        {[]string{"-colour"}, []string{"-colour"}},
		"no number":              {[]string{"-buyers", "many"}, []string{"-buyers", "many"}},
		"not a flag":             {[]string{"latchkey"}, []string{"latchkey"}},
		"an unknown mode":        {[]string{"-mode", "redlock"}, []string{"redlock", "recipe"}},
		"nobody":                 {[]string{"-buyers", "0"}, []string{"-buyers 0"}},
		"several":                {[]string{"-units", "-3", "-concurrency", "0", "-box", "-1s"}, []string{"-units -3", "-concurrency 0", "-box -1s"}},
		"too many units":         {[]string{"-units", "3000000000"}, []string{"3000000000"}},
		"too long a sale":        {[]string{"-box", "25h"}, []string{"-box 25h"}},
		"no time to think":       {[]string{"-think", "0s"}, []string{"-think"}},
		"a Redis' URL":           {[]string{"-redis", "redis://localhost:6379"}, []string{"-redis is a URL", "host:port"}},
		"a Redis without a port": {[]string{"-redis", "localhost"}, []string{"-redis", "localhost"}},
		"addresses without need": {[]string{"-http", ":1,:2"}, []string{"-serve"}},
		"too few addresses":      {[]string{"-serve", "-grpc", ":1"}, []string{"-grpc", "2 addresses"}},
		"no address":             {[]string{"-serve", "-http", ":1,nowhere"}, []string{"-http", "nowhere"}},
		"serving several modes":  {[]string{"-serve", "-mode", "all"}, []string{"one -mode"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseFlags(c.args, io.Discard)
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

func TestHelpNamesEveryFlagAndExitStatus(t *testing.T) {
	var help strings.Builder
	if _, err := parseFlags([]string{"-h"}, &help); !errors.Is(err, flag.ErrHelp) {
		t.Fatalf("error = %v, want flag.ErrHelp", err)
	}
	for _, want := range []string{"-mode", "-buyers", "-units", "-concurrency", "-box", "-redis", "-serve", "-http", "-grpc", "130"} {
		if !strings.Contains(help.String(), want) {
			t.Errorf("the help does not name %s", want)
		}
	}
}
