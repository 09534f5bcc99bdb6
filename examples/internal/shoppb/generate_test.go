package shoppb_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// protocVersion is the only thing in generated code that depends on which
// protoc made it.
var protocVersion = regexp.MustCompile(`(?m)^// *[-\t]* *protoc +v\S+\n`)

func TestCommittedCodeIsWhatTheProtoFileGenerates(t *testing.T) {
	if _, err := exec.LookPath("protoc"); err != nil {
		if os.Getenv("LATCHKEY_REQUIRE_PROTOC") == "1" {
			t.Fatalf("LATCHKEY_REQUIRE_PROTOC=1, but: %v", err)
		}
		t.Skipf("NOT CHECKED that the generated code is current: %v (LATCHKEY_REQUIRE_PROTOC=1 makes this a failure)", err)
	}
	fresh := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "sh", "generate.sh", fresh).CombinedOutput(); err != nil {
		t.Fatalf("generate.sh: %v\n%s", err, out)
	}
	generated, err := filepath.Glob(filepath.Join(fresh, "*.pb.go"))
	if err != nil {
		t.Fatal(err)
	}
	committed, err := filepath.Glob("*.pb.go")
	if err != nil {
		t.Fatal(err)
	}
	if len(generated) != 2 || len(committed) != 2 {
		t.Fatalf("want two files, got %q generated and %q committed", generated, committed)
	}
	for _, path := range generated {
		name := filepath.Base(path)
		want, got := withoutProtocVersion(t, path), withoutProtocVersion(t, name)
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what shop.proto generates: run go generate ./examples/internal/shoppb", name)
		}
	}
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
