package core_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const (
	module     = "github.com/latchkey-go/latchkey"
	everything = module + "/..."
)

// testOnly are the packages that are imported by tests and nothing else.
var testOnly = []string{
	module + "/core/locktest",
	module + "/core/internal/faultproxy",
	module + "/internal/uncontended", module + "/internal/protocheck", module + "/internal/routertest", module + "/internal/stresstest",
}

var (
	telemetry = []string{"go.opentelemetry.io/...", module + "/otel"}
	rpc       = []string{"google.golang.org/grpc/...", "google.golang.org/protobuf/...", module + "/grpcmw"}
	// Drivers register themselves with database/sql; database/sql/driver alone
	// is a few interfaces, which google/uuid implements.
	databases = []string{"database/sql", "github.com/jackc/pgx/...", "github.com/ncruces/go-sqlite3/..."}
	sdk       = []string{
		"go.opentelemetry.io/otel/sdk/...", "go.opentelemetry.io/otel/exporters/...",
		"go.opentelemetry.io/otel/bridge/...", "go.opentelemetry.io/contrib/...",
	}
	testCode = []string{
		"testing/...", "net/http/httptest", "google.golang.org/grpc/test/...",
		"github.com/alicebob/miniredis/...", "go.uber.org/goleak/...", "github.com/stretchr/testify/...",
		"pgregory.net/rapid/...", "github.com/anishathalye/porcupine/...",
		module + "/core/locktest", module + "/core/internal/faultproxy",
		module + "/internal/uncontended", module + "/internal/protocheck", module + "/internal/routertest", module + "/internal/stresstest",
	}
)

// TestPackagesKeepTheirDependencies is what a user's binary is promised: what
// each package, and with it all that it imports, does not bring along. Patterns
// are those of the go tool: "p/..." is p and all below it.
func TestPackagesKeepTheirDependencies(t *testing.T) {
	packages := listPackages(t)
	for _, promise := range []struct {
		packages, why string
		never         []string
	}{
		{
			everything, "a library leaves the SDK, the database and the tests to the program",
			slices.Concat(sdk, databases, testCode),
		},
		{
			module + "/core/...", "the lock knows no telemetry and no transport",
			slices.Concat(telemetry, rpc, []string{module + "/httpmw", module + "/idgen"}),
		},
		{
			module + "/core/internal/...", "the inner packages are below core",
			[]string{module + "/core"},
		},
		{
			module + "/idgen", "IDs are of use without locks",
			slices.Concat(telemetry, rpc, []string{module + "/core/...", module + "/httpmw"}),
		},
		{
			module + "/httpmw", "an HTTP service needs no gRPC, and telemetry only by choice",
			slices.Concat(telemetry, rpc),
		},
		{
			// grpc-go keeps its own OpenTelemetry support in packages that
			// grpc itself does not import (grpc/stats/opentelemetry).
			module + "/grpcmw", "a gRPC service has telemetry only by choice",
			slices.Concat(telemetry, []string{module + "/httpmw"}),
		},
		{
			module + "/otel", "telemetry serves every transport",
			slices.Concat(rpc, []string{module + "/httpmw", module + "/idgen"}),
		},
	} {
		var checked int
		for _, p := range packages {
			if p.DepOnly || !matches(p.ImportPath, promise.packages) || slices.Contains(testOnly, p.ImportPath) {
				continue
			}
			checked++
			for _, dep := range p.Deps {
				if matches(dep, promise.never...) {
					t.Errorf("%s (%s)\n\tdepends on %s", p.ImportPath, promise.why, strings.Join(packages.path(p.ImportPath, dep), "\n\t-> "))
				}
			}
		}
		if checked == 0 {
			t.Errorf("no package is %s any more", promise.packages)
		}
	}
}

func TestKeysNeedsTheStandardLibraryOnly(t *testing.T) {
	packages := listPackages(t)
	const keys = module + "/core/keys"
	if packages[keys] == nil {
		t.Fatalf("there is no package %s", keys)
	}
	for _, dep := range packages[keys].Deps {
		if d := packages[dep]; d == nil || !d.Standard {
			t.Errorf("it depends on %s", strings.Join(packages.path(keys, dep), "\n\t-> "))
		}
	}
}

// TestTelemetryImportsOnlyTheAPI: the API's packages are those that its modules
// promise to keep; the rest of go.opentelemetry.io comes and goes.
func TestTelemetryImportsOnlyTheAPI(t *testing.T) {
	api := []string{
		"go.opentelemetry.io/otel", "go.opentelemetry.io/otel/attribute", "go.opentelemetry.io/otel/codes",
		"go.opentelemetry.io/otel/propagation", "go.opentelemetry.io/otel/semconv/...",
		"go.opentelemetry.io/otel/metric/...", "go.opentelemetry.io/otel/trace/...",
	}
	packages := listPackages(t)
	lockotel := packages[module+"/otel"]
	if lockotel == nil {
		t.Fatalf("there is no package %s/otel", module)
	}
	for _, imported := range lockotel.Imports {
		if matches(imported, "go.opentelemetry.io/...") && !matches(imported, api...) {
			t.Errorf("it imports %s", imported)
		}
	}
}

// goPackage is what go list tells of a package, tests not included.
type goPackage struct {
	ImportPath    string
	Standard      bool
	DepOnly       bool // not of this module, but needed by it
	Imports, Deps []string
}

type goPackages map[string]*goPackage

// listPackages asks the go tool for the packages of this module and all that
// they depend on. It looks at the module as its users get it: the workspace
// would add the needs of the examples to it.
func listPackages(t *testing.T) goPackages {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Standard,DepOnly,Imports,Deps", "./...")
	cmd.Dir = ".." // the module's root
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, &stderr)
	}
	packages := goPackages{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages[p.ImportPath] = &p
	}
}

// path returns a shortest chain of imports from one package to another.
func (ps goPackages) path(from, to string) []string {
	importer := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		p := ps[queue[0]]
		if p == nil {
			continue // "C" and "unsafe" are not listed
		}
		for _, imported := range p.Imports {
			if _, seen := importer[imported]; !seen {
				importer[imported] = p.ImportPath
				queue = append(queue, imported)
			}
		}
	}
	chain := []string{to}
	for p := importer[to]; p != ""; p = importer[p] {
		chain = append(chain, p)
	}
	slices.Reverse(chain)
	return chain
}

// matches tells whether a package is among the patterns.
func matches(path string, patterns ...string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		root, below := strings.CutSuffix(pattern, "/...")
		return path == root || below && strings.HasPrefix(path, root+"/")
	})
}
