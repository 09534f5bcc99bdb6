package idgen

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestValidRequestID(t *testing.T) {
	for id, want := range map[string]bool{
		"":                       false,
		"a":                      true,
		"AZaz09._~-":             true,
		strings.Repeat("x", 128): true,
		strings.Repeat("x", 129): false,
		"a b":                    false,
		"a\n":                    false,
		"a\x00":                  false,
		"a%20":                   false,
		"a:b":                    false,
		"a/b":                    false,
		"a,b":                    false,
		"{a}":                    false,
		"é":                      false,
		"\xff":                   false,
		NewRequestID():           true,
	} {
		if got := ValidRequestID(id); got != want {
			t.Errorf("ValidRequestID(%q) = %v, want %v", id, got, want)
		}
	}
}

func FuzzValidRequestIDIsTheDocumentedPattern(f *testing.F) {
	for _, s := range []string{"", "a", "A-Z", "a b", "a\n", "é", "[", "`", "{", "@", "/", ":", strings.Repeat("~", 128), strings.Repeat("~", 129)} {
		f.Add(s)
	}
	pattern := regexp.MustCompile(`\A[A-Za-z0-9._~-]{1,128}\z`)
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := ValidRequestID(s), pattern.MatchString(s); got != want {
			t.Fatalf("ValidRequestID(%q) = %v, want %v", s, got, want)
		}
	})
}

func TestNewRequestIDsAreUniqueUUIDsInOrderOfTime(t *testing.T) {
	ids := make([]string, 50_000)
	for i := range ids {
		ids[i] = NewRequestID()
	}
	if u, err := uuid.Parse(ids[0]); err != nil || u.Version() != 7 {
		t.Errorf("%q is no version 7 UUID: %v", ids[0], err)
	}
	for i := 1000; i < len(ids); i++ { // far more than 4 ns apart
		if ids[i] < ids[i-1000] {
			t.Fatalf("%s was made long after %s", ids[i], ids[i-1000])
		}
	}
	slices.Sort(ids)
	if n := len(slices.Compact(ids)); n != 50_000 {
		t.Errorf("%d duplicates", 50_000-n)
	}
}

func TestTheRequestIDTravelsInTheContext(t *testing.T) {
	if id, ok := FromContext(t.Context()); ok || id != "" {
		t.Errorf("without: %q, %v", id, ok)
	}
	ctx := NewContext(t.Context(), "r-1")
	if id, ok := FromContext(ctx); !ok || id != "r-1" {
		t.Errorf("with: %q, %v", id, ok)
	}
	if id, _ := FromContext(NewContext(ctx, "r-2")); id != "r-2" {
		t.Errorf("the inner one must win, got %q", id)
	}
}

func TestNewRequestIDAllocatesTheStringOnly(t *testing.T) {
	if n := testing.AllocsPerRun(1000, func() { stringSink = NewRequestID() }); n != 1 {
		t.Errorf("%v allocations, want 1", n)
	}
	if n := testing.AllocsPerRun(1000, func() { boolSink = ValidRequestID(stringSink) }); n != 0 {
		t.Errorf("ValidRequestID: %v allocations, want 0", n)
	}
}

var (
	stringSink string
	boolSink   bool
)

func BenchmarkRequestID(b *testing.B) {
	b.Run("idgen", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			stringSink = NewRequestID()
		}
	})
	b.Run("google.NewString", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			stringSink = uuid.NewString()
		}
	})
	b.Run("ValidRequestID", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			boolSink = ValidRequestID(stringSink)
		}
	})
}
