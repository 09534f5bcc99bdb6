package demo_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/examples/internal/demo"
)

// TestMain lets a test run Main in a process of its own, with one of these.
func TestMain(m *testing.M) {
	run, ok := map[string]func(context.Context, []string, io.Writer) error{
		"done":  func(context.Context, []string, io.Writer) error { return nil },
		"help":  func(context.Context, []string, io.Writer) error { return fmt.Errorf("asked for: %w", flag.ErrHelp) },
		"fails": func(context.Context, []string, io.Writer) error { return errors.New("it rains") },
		"args": func(_ context.Context, args []string, out io.Writer) error {
			_, err := fmt.Fprintf(out, "%q\n", args)
			return err
		},
		"waits": func(ctx context.Context, _ []string, out io.Writer) error {
			fmt.Fprintln(out, "begins")
			<-ctx.Done()
			fmt.Fprintln(out, "ends")
			return nil
		},
		"stays": func(ctx context.Context, _ []string, out io.Writer) error {
			fmt.Fprintln(out, "begins")
			<-ctx.Done()
			// One signal may come before Main has let go of them all: the test
			// sends them until it sees the end.
			fmt.Fprintln(out, "stays")
			<-time.After(time.Minute)
			return nil
		},
	}[os.Getenv("DEMO_RUN")]
	if ok {
		demo.Main("it", run)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func program(t *testing.T, run string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), "DEMO_RUN="+run)
	return cmd
}

func TestTheExitStatusIsTwoAfterAFailureOnly(t *testing.T) {
	for run, want := range map[string]struct {
		status         int
		stdout, stderr string
	}{
		"done":  {},
		"help":  {},
		"args":  {stdout: `["-a" "b"]` + "\n"},
		"fails": {status: 2, stderr: "it: it rains\n"},
	} {
		cmd := program(t, run, "-a", "b")
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		if got := cmd.ProcessState.ExitCode(); got != want.status || stdout.String() != want.stdout || stderr.String() != want.stderr {
			t.Errorf("%s: %v, standard output %q, standard error %q", run, err, &stdout, &stderr)
		}
	}
}

// begin starts the program and returns its lines from the second on.
func begin(t *testing.T, cmd *exec.Cmd) *bufio.Scanner {
	t.Helper()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() || lines.Text() != "begins" {
		t.Fatalf("it said %q, %v", lines.Text(), lines.Err())
	}
	return lines
}

func TestTheFirstSignalEndsTheContext(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		cmd := program(t, "waits")
		lines := begin(t, cmd)
		if err := cmd.Process.Signal(sig); err != nil {
			t.Error(err)
		}
		if !lines.Scan() || lines.Text() != "ends" {
			t.Errorf("%v: it said %q", sig, lines.Text())
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", sig, err)
		}
	}
}

func TestASecondSignalEndsTheProcess(t *testing.T) {
	cmd := program(t, "stays")
	lines := begin(t, cmd)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	if !lines.Scan() || lines.Text() != "stays" {
		t.Errorf("it said %q", lines.Text())
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-again.C:
			_ = cmd.Process.Signal(os.Interrupt) // fails when it has just ended
		case <-ended:
			if s := cmd.ProcessState.Sys().(syscall.WaitStatus); !s.Signaled() || s.Signal() != syscall.SIGINT {
				t.Errorf("it ended with %v", cmd.ProcessState)
			}
			return
		}
	}
}
