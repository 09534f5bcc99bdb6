package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

const (
	module  = "github.com/jaegertracing/jaeger"
	version = "v1.76.0"
)

// buildJaeger returns Jaeger's program in the user's cache folder. It is built in
// its own module's folder, as that module's main one: so its go.sum and its replace
// directives hold, which they would not in a module that requires it.
func buildJaeger(ctx context.Context, out io.Writer) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	binary := filepath.Join(cache, "latchkey", "jaeger-"+version)
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		return "", err
	}
	fmt.Fprintf(out, "== building Jaeger %s, once, into %s: this takes minutes\n", version, binary)
	download := exec.CommandContext(ctx, "go", "mod", "download", "-json", module+"@"+version)
	download.Dir, download.Stderr = os.TempDir(), out
	download.Env = append(os.Environ(), "GOWORK=off")
	text, err := download.Output()
	if err != nil {
		return "", fmt.Errorf("downloading Jaeger: %w", err)
	}
	var downloaded struct{ Dir string }
	if err := json.Unmarshal(text, &downloaded); err != nil {
		return "", fmt.Errorf("downloading Jaeger: %w", err)
	}
	build := exec.CommandContext(ctx, "go", "build", "-C", downloaded.Dir, "-mod=readonly", "-trimpath",
		"-ldflags=-s -w", "-o", binary+".new", "./cmd/jaeger")
	build.Stdout, build.Stderr = out, out
	build.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("building Jaeger: %w", err)
	}
	return binary, os.Rename(binary+".new", binary)
}
