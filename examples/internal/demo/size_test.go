package demo_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What somebody copies from must be read at a glance.
func TestAnExampleIsOneFileOfLessThanAHundredLines(t *testing.T) {
	for _, example := range []string{"httpserver", "grpcserver"} {
		files, err := filepath.Glob(filepath.Join("..", "..", example, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		code := map[string]int{}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			code[filepath.Base(f)] = bytes.Count(text, []byte("\n"))
		}
		if n, ok := code["main.go"]; !ok || len(code) != 1 || n >= 100 {
			t.Errorf("%s: lines of %v", example, code)
		}
	}
}
