package main

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/examples/flashsale/internal/shop"
	"github.com/latchkey-go/latchkey/examples/internal/shoppb"
)

// output is what a run writes, readable while it runs. onWrite, if set, is
// called with all that there is so far.
type output struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	onWrite func(sofar string)
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	n, err := o.buf.Write(p)
	sofar := o.buf.String()
	o.mu.Unlock()
	if o.onWrite != nil {
		o.onWrite(sofar)
	}
	return n, err
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func TestWhatKeepsItFromStartingIsOneLineAndStatus2(t *testing.T) {
	for name, args := range map[string]func(t *testing.T) []string{
		"a wrong flag":        func(*testing.T) []string { return []string{"-buyer", "3"} },
		"a wrong value":       func(*testing.T) []string { return []string{"-mode", "hope"} },
		"Redis unreachable":   func(t *testing.T) []string { return []string{"-redis", closedPort(t)} },
		"Redis silent":        func(t *testing.T) []string { return []string{"-redis", silentServer(t)} },
		"HTTP port in use":    func(t *testing.T) []string { return []string{"-serve", "-http", silentServer(t) + "," + anyPort} },
		"gRPC port in use":    func(t *testing.T) []string { return []string{"-serve", "-grpc", anyPort + "," + silentServer(t)} },
		"one port for two":    func(t *testing.T) []string { p := closedPort(t); return []string{"-serve", "-http", p + "," + p} },
		"no such host":        func(*testing.T) []string { return []string{"-serve", "-http", "256.0.0.1:1,:0"} },
		"-serve, all at once": func(*testing.T) []string { return []string{"-serve", "-mode", "all"} },
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr output
			if got := run(t.Context(), args(t), &stdout, &stderr); got != exitCannotStart {
				t.Errorf("exit status %d, want %d", got, exitCannotStart)
			}
			if text := stderr.String(); strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "flashsale: ") {
				t.Errorf("stderr is not one line: %q", text)
			}
			if text := stdout.String(); text != "" {
				t.Errorf("stdout = %q, want nothing", text)
			}
		})
	}
}

func TestAWholeRunComparesAllModesAndLatchkeyKeepsItsPromises(t *testing.T) {
	var stdout, stderr output
	status := run(t.Context(), []string{"-buyers", "200", "-units", "20", "-concurrency", "20", "-box", "1m"}, &stdout, &stderr)
	if status != exitOK {
		t.Errorf("exit status %d, want 0; stderr: %s", status, stderr.String())
	}
	for _, want := range []string{
		"200 buyers for 20 units", "none", "recipe", "latchkey", "waited longest for the lock", "latchkey kept its promises",
	} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("%q is not in the report:\n%s", want, stdout.String())
		}
	}
	if !strings.Contains(stderr.String(), "latchkey: 200 of 200 buyers\n") {
		t.Errorf("without a terminal, progress should be plain lines: %q", stderr.String())
	}
	if strings.ContainsAny(stdout.String()+stderr.String(), "\r\x1b") {
		t.Error("control characters in what is not a terminal")
	}
}

func TestARunOnARealRedisCountsItsCommands(t *testing.T) {
	addr := locktest.StartRedis(t).Addr()
	var stdout, stderr output
	args := []string{"-mode", "latchkey", "-buyers", "100", "-units", "10", "-concurrency", "10", "-box", "1m", "-redis", addr}
	if status := run(t.Context(), args, &stdout, &stderr); status != exitOK {
		t.Errorf("exit status %d; stderr: %s", status, stderr.String())
	}
	if want := "Redis at " + addr; !strings.Contains(stdout.String(), want) {
		t.Errorf("%q is not in the report:\n%s", want, stdout.String())
	}
}

func TestASaleWhoseRedisFailsStillEndsAndIsReported(t *testing.T) {
	for name, strike := range map[string]func(*locktest.Redis){
		"it dies":  (*locktest.Redis).Kill,
		"it hangs": (*locktest.Redis).Stop,
	} {
		for _, m := range []mode{modeRecipe, modeLatchkey} {
			t.Run(name+" in mode "+string(m), func(t *testing.T) {
				server := locktest.StartRedis(t)
				var stdout output
				stderr := output{onWrite: func(sofar string) {
					if strings.HasSuffix(sofar, ": 5 of 20 buyers\n") {
						strike(server)
					}
				}}
				args := []string{"-mode", string(m), "-buyers", "20", "-units", "20", "-concurrency", "5", "-box", "3s", "-redis", server.Addr()}
				if status := run(t.Context(), args, &stdout, &stderr); status != exitFailed {
					t.Errorf("exit status %d, want %d; stderr: %s", status, exitFailed, stderr.String())
				}
				if !regexp.MustCompile(`Redis commands per purchase +-\n`).MatchString(stdout.String()) {
					t.Errorf("no report, or one with figures that nobody can know:\n%s", stdout.String())
				}
				if !strings.Contains(stderr.String(), "flashsale: the sale has lost Redis: ") {
					t.Errorf("stderr = %q", stderr.String())
				}
			})
		}
	}
}

func TestASaleThatWasKilledDoesNotKeepTheNextFromSelling(t *testing.T) {
	server := locktest.StartRedis(t)
	rdb := server.Client(nil)
	p, err := newLatchkeyProtection(rdb, terms{wait: time.Second, maxWaiters: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.locker.Acquire(t.Context(), itemKey(&shoppb.BuyRequest{Item: item})); err != nil {
		t.Fatal(err)
	}
	_ = rdb.Close() // from now on it neither renews nor releases
	_ = p.locker.Close()

	var stdout, stderr output
	args := []string{"-mode", "latchkey", "-buyers", "10", "-units", "10", "-box", "1m", "-redis", server.Addr()}
	if status := run(t.Context(), args, &stdout, &stderr); status != exitOK {
		t.Errorf("exit status %d; stderr: %s", status, stderr.String())
	}
}

func TestAnInterruptedRunReportsWhatWasSoldAndIsStatus130(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var stdout output
	stderr := output{onWrite: func(sofar string) {
		if strings.Contains(sofar, "none: 25 of 100 buyers\n") {
			interrupt()
		}
	}}
	args := []string{"-buyers", "100", "-units", "100", "-concurrency", "5", "-think", "5ms", "-box", "1m"}
	if status := run(ctx, args, &stdout, &stderr); status != exitInterrupted {
		t.Errorf("exit status %d, want %d", status, exitInterrupted)
	}
	report := stdout.String()
	if !strings.Contains(report, "none\n") || strings.Contains(report, "recipe\n") {
		t.Errorf("the report should cover the interrupted mode, and no later one:\n%s", report)
	}
	if strings.Contains(report, "not served                          0\n") {
		t.Errorf("nobody was left outside:\n%s", report)
	}
	if !strings.HasSuffix(stderr.String(), "flashsale: interrupted; the report covers what was sold until then\n") {
		t.Errorf("stderr = %q", stderr.String())
	}
}

func TestOnlyLatchkeyIsJudged(t *testing.T) {
	kept, broken := shop.Books{Stock: 9, Sold: 1, Orders: 1}, shop.Books{Stock: 10, Sold: 1, Orders: 1}
	interrupted, interrupt := context.WithCancel(t.Context())
	interrupt()
	for name, c := range map[string]struct {
		ctx   context.Context
		mode  mode
		books shop.Books
		want  int
	}{
		"latchkey keeps its promises":        {t.Context(), modeLatchkey, kept, exitOK},
		"latchkey breaks one":                {t.Context(), modeLatchkey, broken, exitFailed},
		"latchkey sells nothing":             {t.Context(), modeLatchkey, shop.Books{Stock: 10}, exitFailed},
		"others break what they like":        {t.Context(), modeNone, broken, exitOK},
		"interrupted":                        {interrupted, modeLatchkey, kept, exitInterrupted},
		"interrupted before anything":        {interrupted, modeLatchkey, shop.Books{Stock: 10}, exitInterrupted},
		"interrupted, with a broken promise": {interrupted, modeLatchkey, broken, exitFailed},
	} {
		t.Run(name, func(t *testing.T) {
			var out output
			if got := judge(c.ctx, []result{{mode: c.mode, units: 10, books: c.books}}, &out, &out); got != c.want {
				t.Errorf("exit status %d, want %d", got, c.want)
			}
		})
	}
}
