package main

import (
	"bytes"
	"errors"
	"flag"
	"strings"
	"testing"
)

func TestWithoutACollectorTheTracesAreDrawnWithWhoWasInTheWay(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), nil, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"web: POST /orders/{item}", "web: acquire POST /orders/{item}", "web: hold POST /orders/{item}",
		"office: acquire PUT /prices/{item}", "warehouse: acquire /latchkey.examples.shop.v1.Shop/Buy",
		"↳ holder and predecessor: web: acquire POST /orders/{item}, trace ",
		"↳ predecessor: office: acquire PUT /prices/{item}, trace ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	if n := strings.Count(out.String(), "\ntrace "); n != 3 {
		t.Errorf("%d traces, want one for each request", n)
	}
}

func TestACollectorThatIsNotThereIsAnError(t *testing.T) {
	err := run(t.Context(), []string{"-otlp", "http://127.0.0.1:1"}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "no collector: ") {
		t.Errorf("run: %v, want that there is no collector", err)
	}
}

func TestAWrongFlagIsOneLineThatPointsToTheHelp(t *testing.T) {
	for _, args := range [][]string{{"-port", "1"}, {"-otlp"}, {"more"}, {"-otlp", "127.0.0.1:4318"}, {"-otlp", "http://"}} {
		if _, err := parseFlags(args, &bytes.Buffer{}); err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "-h lists") {
			t.Errorf("%q: %v", args, err)
		}
	}
	var help bytes.Buffer
	if _, err := parseFlags([]string{"-h"}, &help); !errors.Is(err, flag.ErrHelp) || !strings.Contains(help.String(), "-otlp URL") {
		t.Errorf("-h: %v, %s", err, &help)
	}
}
