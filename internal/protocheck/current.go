// Package protocheck is for tests that generated code is current.
package protocheck

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// protocVersion is the only thing in generated code that depends on which
// protoc made it.
var protocVersion = regexp.MustCompile(`(?m)^// *[-\t]* *protoc +v\S+\n`)

// Current fails the test if what generate.sh of the current directory generates
// is not the files of that name, which must be all that is committed.
//
// Without protoc the test is skipped, loudly; with LATCHKEY_REQUIRE_PROTOC=1 in
// the environment it fails.
func Current(t *testing.T, files ...string) {
	t.Helper()
	if _, err := exec.LookPath("protoc"); err != nil {
		if os.Getenv("LATCHKEY_REQUIRE_PROTOC") == "1" {
			t.Fatalf("LATCHKEY_REQUIRE_PROTOC=1, but: %v", err)
		}
		t.Skipf("NOT CHECKED that the generated code is current: %v (LATCHKEY_REQUIRE_PROTOC=1 makes this a failure)", err)
	}
	watchSources(t)
	fresh := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "sh", "generate.sh", fresh).CombinedOutput(); err != nil {
		t.Fatalf("generate.sh: %v\n%s", err, out)
	}
	if generated, committed := generatedIn(t, fresh), generatedIn(t, "."); !slices.Equal(generated, files) || !slices.Equal(committed, files) {
		t.Fatalf("want %q, got %q generated and %q committed", files, generated, committed)
	}
	for _, name := range files {
		want, got := withoutProtocVersion(t, filepath.Join(fresh, name)), withoutProtocVersion(t, name)
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what its .proto file generates: run go generate", name)
		}
	}
}

// watchSources reads the .proto files, so that go test knows that its cached result
// depends on them: it does not see what other processes read.
func watchSources(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, _ os.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".proto" {
			_, err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func generatedIn(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.pb.go"))
	if err != nil {
		t.Fatal(err)
	}
	for i, path := range paths {
		paths[i] = filepath.Base(path)
	}
	return paths
}

func withoutProtocVersion(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(protocVersion.FindAll(b, -1)); n != 1 {
		t.Fatalf("%s: %d lines with a protoc version, want 1", path, n)
	}
	return protocVersion.ReplaceAll(b, nil)
}
