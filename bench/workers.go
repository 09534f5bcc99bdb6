package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// workers are the worker processes of one run.
type workers struct {
	workers []*workerProcess
}

// workerProcess is one of them, seen from the parent.
type workerProcess struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	tell   *json.Encoder
	listen *json.Decoder
}

// hire starts the workers for a contender in a scenario, and returns when all
// of them are ready. They are gone when ctx ends, or with dismiss.
func hire(ctx context.Context, jobs []job) (*workers, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &workers{}
	for _, j := range jobs {
		p, err := startWorker(ctx, self, j)
		if err != nil {
			c.dismiss()
			return nil, err
		}
		c.workers = append(c.workers, p)
	}
	for _, p := range c.workers {
		var r ready
		if err := p.listen.Decode(&r); err != nil {
			c.dismiss()
			return nil, fmt.Errorf("worker is not ready: %w", err)
		}
	}
	return c, nil
}

func startWorker(ctx context.Context, self string, j job) (*workerProcess, error) {
	cmd := exec.CommandContext(ctx, self, workerArg)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &workerProcess{cmd, stdin, json.NewEncoder(stdin), json.NewDecoder(stdout)}
	if err := p.tell.Encode(j); err != nil {
		p.end()
		return nil, err
	}
	return p, nil
}

// begin gives the workers their schedule.
func (c *workers) begin(s schedule) error {
	for _, p := range c.workers {
		if err := p.tell.Encode(s); err != nil {
			return err
		}
	}
	return nil
}

// reports waits for what the workers have seen.
func (c *workers) reports() ([]*workReport, error) {
	var all []*workReport
	for i, p := range c.workers {
		r := new(workReport)
		if err := p.listen.Decode(r); err != nil {
			return nil, fmt.Errorf("worker %d has no report: %w", i, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// dismiss ends the workers and returns when they are gone.
func (c *workers) dismiss() {
	for _, p := range c.workers {
		p.end()
	}
}

func (p *workerProcess) end() {
	_ = p.stdin.Close()
	_ = p.cmd.Process.Kill() // its report is all that counts
	_ = p.cmd.Wait()
}
