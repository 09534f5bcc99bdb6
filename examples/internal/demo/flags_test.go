package demo_test

import (
	"errors"
	"flag"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/examples/internal/demo"
)

func TestNoFlagIsNeeded(t *testing.T) {
	for _, c := range []struct {
		args            []string
		addr, redisAddr string
	}{
		{nil, "127.0.0.1:1", ""},
		{[]string{"-addr", ":2"}, ":2", ""},
		{[]string{"-redis=:3"}, "127.0.0.1:1", ":3"},
		{[]string{"-redis", ":3", "-addr", ":2"}, ":2", ":3"},
	} {
		var help strings.Builder
		addr, redisAddr, err := demo.ParseFlags("it", "127.0.0.1:1", c.args, &help)
		if err != nil || addr != c.addr || redisAddr != c.redisAddr || help.Len() > 0 {
			t.Errorf("%q: %q, %q, %v, help %q", c.args, addr, redisAddr, err, &help)
		}
	}
}

func TestAWrongFlagIsOneLineThatPointsToTheHelp(t *testing.T) {
	for name, args := range map[string][]string{
		"unknown":            {"-port", "1"},
		"without its value":  {"-addr"},
		"not a flag":         {"start"},
		"more after a right": {"-addr", ":2", "start"},
	} {
		var help strings.Builder
		_, _, err := demo.ParseFlags("it", "127.0.0.1:1", args, &help)
		if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "-h lists") || help.Len() > 0 {
			t.Errorf("%s: %v, help %q", name, err, &help)
		}
	}
}

func TestTheHelpListsTheFlagsAndTheirDefaults(t *testing.T) {
	var help strings.Builder
	_, _, err := demo.ParseFlags("it", "127.0.0.1:1", []string{"-h"}, &help)
	if !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v", err)
	}
	for _, want := range []string{"go run ./examples/it [flags]\n", "-redis host:port\n", "-addr host:port\n", `"127.0.0.1:1"`} {
		if !strings.Contains(help.String(), want) {
			t.Errorf("no %q in\n%s", want, &help)
		}
	}
}
