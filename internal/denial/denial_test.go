package denial_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/internal/denial"
)

// reasonsOfCore are the constants of type Reason in core's source.
func reasonsOfCore(t *testing.T) (reasons []core.Reason) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../core/denial.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Reason" && len(spec.Values) == 1 {
				text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
				if err != nil {
					t.Error(err)
				}
				reasons = append(reasons, core.Reason(text))
			}
		}
		return true
	})
	if len(reasons) < 13 {
		t.Fatalf("core has the reasons %q", reasons)
	}
	return reasons
}

func TestEveryReasonHasARowOfItsOwn(t *testing.T) {
	unknown := denial.Of("LOCK_OF_TOMORROW")
	if unknown != denial.Of(core.ReasonInternal) {
		t.Errorf("an unknown reason has %+v", unknown)
	}
	slugs := map[string]core.Reason{}
	for _, reason := range append(reasonsOfCore(t), denial.BodyTooLarge, denial.BodyUnsupported, denial.BodyTimeout) {
		row := denial.Of(reason)
		if row == unknown && reason != core.ReasonInternal {
			t.Errorf("%s has no row", reason)
		}
		if row.Title == "" || row.Detail == "" || row.Status < 400 || row.Code == 0 {
			t.Errorf("%s has %+v", reason, row)
		}
		if other, taken := slugs[row.Slug]; taken || row.Slug == "" {
			t.Errorf("%s and %s have the slug %q", reason, other, row.Slug)
		}
		slugs[row.Slug] = reason
	}
}

func TestAHintIsTheDenialsOwnOrAtRandomAndOnlyWhereItHelps(t *testing.T) {
	for reason, least := range map[core.Reason]time.Duration{
		core.ReasonHeld: time.Second / 2, core.ReasonBackend: time.Second / 2, core.ReasonShuttingDown: time.Second,
		core.ReasonLost: 0, core.ReasonKeyMissing: 0,
	} {
		row := denial.Of(reason)
		seen := map[time.Duration]bool{}
		for range 100 {
			after := row.RetryAfter(&core.Denial{})
			if seen[after] = true; after < least || least > 0 && after > 2*least || least == 0 && after != 0 {
				t.Errorf("%s: %v", reason, after)
			}
		}
		if least > 0 && len(seen) < 10 {
			t.Errorf("%s: %d different hints of 100", reason, len(seen))
		}
		own := row.RetryAfter(&core.Denial{RetryAfter: 3 * time.Second})
		if want := own == 3*time.Second; want != row.Repeatable() {
			t.Errorf("%s: a hint of 3 s became %v", reason, own)
		}
	}
}
