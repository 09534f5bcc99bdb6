package idgen

import (
	"regexp"
	"strings"
	"testing"
)

func TestThePrefixRuleIsThatOfTypeIDs(t *testing.T) {
	for prefix, want := range map[string]bool{
		"":                            true,
		"a":                           true,
		"ord":                         true,
		"ord_item":                    true,
		"a__b":                        true,
		strings.Repeat("z", 63):       true,
		strings.Repeat("z", 64):       false,
		"_":                           false,
		"_ord":                        false,
		"ord_":                        false,
		"Ord":                         false,
		"ord1":                        false,
		"o-d":                         false,
		"o d":                         false,
		"örd":                         false,
		"ord\n":                       false,
		"ord\x00":                     false,
		"a" + strings.Repeat("_", 62): false,
		strings.Repeat("_", 1<<20):    false,
	} {
		if got := validPrefix(prefix); got != want {
			t.Errorf("validPrefix(%.80q) = %v, want %v", prefix, got, want)
		}
	}
}

func FuzzThePrefixRuleIsTheDocumentedPattern(f *testing.F) {
	for _, s := range []string{"", "a", "a_b", "_a", "a_", "A", "`", "{", strings.Repeat("a", 63), strings.Repeat("a", 64)} {
		f.Add(s)
	}
	pattern := regexp.MustCompile(`\A([a-z]([a-z_]{0,61}[a-z])?)?\z`)
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := validPrefix(s), pattern.MatchString(s); got != want {
			t.Fatalf("validPrefix(%q) = %v, want %v", s, got, want)
		}
	})
}
