package lockpb_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// documented is the command in the package documentation.
var documented = regexp.MustCompile(`(?m)^//\t(protoc .*) …$`)

// The command that the package documentation gives finds the .proto file, in a module
// that has its dependencies in vendor/ and in one that has not.
func TestTheDocumentedProtocLineFindsTheFile(t *testing.T) {
	if _, err := exec.LookPath("protoc"); err != nil {
		if os.Getenv("LATCHKEY_REQUIRE_PROTOC") == "1" {
			t.Fatalf("LATCHKEY_REQUIRE_PROTOC=1, but: %v", err)
		}
		t.Skipf("NOT RUN: %v (LATCHKEY_REQUIRE_PROTOC=1 makes this a failure)", err)
	}
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	line := documented.FindSubmatch(doc)
	if line == nil {
		t.Fatal("doc.go has no line that begins with protoc")
	}
	for name, vendored := range map[string]bool{"vendored": true, "not vendored": false} {
		t.Run(name, func(t *testing.T) {
			dir := userModule(t)
			if vendored {
				run(t, dir, "go mod vendor")
			}
			run(t, dir, string(line[1])+" --descriptor_set_in=wellknown.bin --descriptor_set_out=shop.bin shop.proto")
			if info, err := os.Stat(filepath.Join(dir, "shop.bin")); err != nil || info.Size() == 0 {
				t.Errorf("protoc has made nothing: %v", err)
			}
		})
	}
}

// userModule returns a module that uses grpcmw of this checkout, with what that
// requires: nothing is downloaded that the tests here have not.
func userModule(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	goMod := read(t, filepath.Join(root, "go.mod"))
	const library = "github.com/latchkey-go/latchkey"
	goMod = strings.Replace(goMod, "module "+library+"\n", "module example.com/shop\n", 1)
	goMod += "\nrequire " + library + " v0.0.0\n\nreplace " + library + " => " + root + "\n"
	// Debian has protobuf's own files apart from protoc.
	wellknown, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		protodesc.ToFileDescriptorProto(descriptorpb.File_google_protobuf_descriptor_proto),
		protodesc.ToFileDescriptorProto(durationpb.File_google_protobuf_duration_proto),
	}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"wellknown.bin": string(wellknown),
		"go.mod":        goMod,
		"go.sum":        read(t, filepath.Join(root, "go.sum")),
		"main.go":       "package main\n\nimport _ \"" + library + "/grpcmw\"\n\nfunc main() {}\n",
		"shop.proto": `syntax = "proto3";
import "latchkey/v1/lock.proto";
message Request { string item = 1; }
service Shop {
  rpc Buy(Request) returns (Request) {
    option (latchkey.v1.lock) = {key: "item:{field.item}"};
  }
}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// run runs a line of a user's shell, outside of our workspace and off line.
func run(t *testing.T, dir, line string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "GOPROXY=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
}
