package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// config has nothing but what is needed, and each port on loopback: by default
// Jaeger and the collector that it is made of open a dozen. %s are host:port of
// OTLP, of the query API over HTTP, and of that over gRPC.
const config = `
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {receivers: [otlp], exporters: [jaeger_storage_exporter]}
  telemetry:
    metrics: {level: none}
    logs: {level: warn}
receivers:
  otlp: {protocols: {http: {endpoint: "%s"}}}
exporters:
  jaeger_storage_exporter: {trace_storage: memory}
extensions:
  jaeger_storage: {backends: {memory: {memory: {max_traces: 1000}}}}
  jaeger_query:
    storage: {traces: memory}
    http: {endpoint: "%s"}
    grpc: {endpoint: "%s"}
`

// jaeger is one that runs.
type jaeger struct {
	otlp, query string // URLs
	process     *exec.Cmd
	ended       chan struct{}
	dir         string
}

// startJaeger returns when the query API answers.
func startJaeger(ctx context.Context, binary string) (*jaeger, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	j := &jaeger{otlp: "http://" + ports[0], query: "http://" + ports[1], ended: make(chan struct{})}
	if j.dir, err = os.MkdirTemp("", "jaegercheck-"); err != nil {
		return nil, err
	}
	file := filepath.Join(j.dir, "config.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, config, ports[0], ports[1], ports[2]), 0o600); err != nil {
		return nil, err
	}
	var log bytes.Buffer
	j.process = exec.Command(binary, "--config", file)
	j.process.Stdout, j.process.Stderr = &log, &log
	if err := j.process.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = j.process.Wait()
		close(j.ended)
	}()
	for {
		if answer, err := http.Get(j.query + "/api/services"); err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return j, nil
			}
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-j.ended:
			_ = os.RemoveAll(j.dir)
			return nil, fmt.Errorf("the Jaeger ended: %s", &log)
		case <-ctx.Done():
			j.stop()
			return nil, fmt.Errorf("the Jaeger does not answer: %s", &log)
		}
	}
}

// stop ends it, the hard way if it takes more than five seconds.
func (j *jaeger) stop() {
	_ = j.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-j.ended:
	case <-time.After(5 * time.Second):
		_ = j.process.Process.Kill()
		<-j.ended
	}
	_ = os.RemoveAll(j.dir)
}

// freePorts returns loopback addresses that nobody listens at.
func freePorts(n int) ([]string, error) {
	var addrs []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // together, so that they differ
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}
