package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// console is what run prints to. It tells where the server listens, and when a
// request begins to run.
type console struct {
	url   chan string
	begun chan struct{}
}

var address = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

func (c *console) Write(b []byte) (int, error) {
	if url := address.Find(b); url != nil {
		c.url <- string(url)
	}
	if bytes.Contains(b, []byte("begins")) {
		c.begun <- struct{}{}
	}
	return len(b), nil
}

func start(t *testing.T) (c *console, url string, interrupt func(), ended <-chan error) {
	t.Helper()
	ctx, interrupt := context.WithCancel(context.Background())
	t.Cleanup(interrupt)
	c = &console{url: make(chan string, 1), begun: make(chan struct{}, 2)}
	end := make(chan error, 1)
	go func() { end <- run(ctx, []string{"-addr", "127.0.0.1:0"}, c) }()
	select {
	case url = <-c.url:
	case err := <-end:
		t.Fatalf("it ended: %v", err)
	}
	return c, url, interrupt, end
}

func put(url string) (string, error) {
	req, err := http.NewRequest(http.MethodPut, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.Status + " " + resp.Header.Get("X-Request-ID") + " " + string(body), err
}

func TestTwoUpdatesOfOneOrderRunOneAfterTheOther(t *testing.T) {
	_, url, interrupt, ended := start(t)
	var mu sync.Mutex
	var answers []string
	var clients sync.WaitGroup
	began := time.Now()
	for range 2 {
		clients.Go(func() {
			answer, err := put(url + "/orders/42")
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			answers = append(answers, answer)
		})
	}
	clients.Wait()
	if took := time.Since(began); took < 4*time.Second {
		t.Errorf("two updates of two seconds each took %v", took)
	}
	for i, answer := range answers {
		if !strings.HasPrefix(answer, "200 OK ") || !strings.Contains(answer, "order 42 changed") {
			t.Errorf("answer %d: %s", i+1, answer)
		}
	}
	if len(answers) == 2 && answers[0] == answers[1] {
		t.Errorf("both answers are the same: %s", answers[0])
	}
	interrupt()
	if err := <-ended; err != nil {
		t.Errorf("interrupted: %v", err)
	}
}

func TestAnInterruptLetsARunningRequestFinish(t *testing.T) {
	c, url, interrupt, ended := start(t)
	answers := make(chan string, 1)
	go func() {
		answer, err := put(url + "/orders/42")
		if err != nil {
			t.Error(err)
		}
		answers <- answer
	}()
	<-c.begun
	interrupt()
	if answer := <-answers; !strings.HasPrefix(answer, "200 OK ") {
		t.Errorf("answer: %s", answer)
	}
	if err := <-ended; err != nil {
		t.Errorf("interrupted: %v", err)
	}
}

// TestMain lets a test run the program itself, in a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("EXAMPLE_MAIN") == "1" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestWhatCannotBeStartedSaysSoInOneLineAndExitsWithTwo(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	for name, args := range map[string][]string{
		"an unknown flag":    {"-port", "1"},
		"a port in use":      {"-addr", taken.Addr().String()},
		"no Redis":           {"-redis", gone.Addr().String()},
		"a Redis that hangs": {"-redis", taken.Addr().String()},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0], args...)
			cmd.Env = append(os.Environ(), "EXAMPLE_MAIN=1")
			var stdout, stderr strings.Builder
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			said := stderr.String()
			if cmd.ProcessState.ExitCode() != 2 || stdout.Len() > 0 ||
				strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, "httpserver: ") {
				t.Errorf("%v, standard output %q, standard error %q", err, &stdout, said)
			}
		})
	}
}
