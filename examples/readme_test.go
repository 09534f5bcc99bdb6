package examples

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the README shows is code that compiles: every Go block, and every call of
// one of these packages between backticks, stands in a file of this repository as
// it is.
func TestEveryPieceOfGoInTheReadmeIsCompiledCode(t *testing.T) {
	readme := read(t, "README.md")
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(readme, -1)
	calls := regexp.MustCompile("`((?:httpmw|grpcmw|lockotel|idgen|echo|ginlock|router)\\.[^`]*\\([^`]*)`").FindAllStringSubmatch(readme, -1)
	if len(blocks) < 3 || len(calls) < 3 {
		t.Fatalf("%d Go blocks and %d calls in the README; it should show more", len(blocks), len(calls))
	}
	sources := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		text, err := os.ReadFile(path)
		sources[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, piece := range slices.Concat(blocks, calls) {
		found := false
		for _, text := range sources {
			found = found || strings.Contains(text, piece[1])
		}
		if !found {
			t.Errorf("no source file has this piece of the README:\n%s", piece[1])
		}
	}
}

// An example that the README names is in the file that it links to, and is one
// that go test runs.
func TestEveryExampleThatTheReadmeNamesIsRun(t *testing.T) {
	links := regexp.MustCompile("\\[`(Example\\w*)`\\]\\(([^)]+)\\)").FindAllStringSubmatch(read(t, "README.md"), -1)
	if len(links) < 3 {
		t.Fatalf("%d examples in the README; it should name more", len(links))
	}
	for _, l := range links {
		_, body, found := strings.Cut(read(t, l[2]), "func "+l[1]+"() {\n")
		body, _, _ = strings.Cut(body, "\n}\n")
		if !found || !strings.Contains(body, "// Output:") {
			t.Errorf("%s in %s is not there, or has no output and is not run", l[1], l[2])
		}
	}
}

const root = ".."

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Links to files must lead somewhere.
func TestEveryRelativeLinkOfTheReadmeExists(t *testing.T) {
	links := regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(read(t, "README.md"), -1)
	if len(links) == 0 {
		t.Fatal("no links")
	}
	for _, l := range links {
		if strings.Contains(l[1], "://") {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, l[1])); err != nil {
			t.Errorf("broken link: %v", err)
		}
	}
}

// A claim in a document that names its test leads to it.
func TestTestsThatDocumentsNameExist(t *testing.T) {
	named := regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w*`)
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	claims, tests := map[string]string{}, map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".md" && !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if filepath.Ext(path) == ".md" {
			for _, name := range named.FindAllString(string(text), -1) {
				claims[name] = path
			}
		}
		for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
			tests[m[1]] = true
		}
		return err
	})
	if err != nil || len(claims) < 10 {
		t.Fatalf("%v, %d tests named", err, len(claims))
	}
	for name, path := range claims {
		if !tests[name] {
			t.Errorf("%s names %s, and there is none", path, name)
		}
	}
}
