package remote

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	luaOther    = regexp.MustCompile(`(?m)--.*$|^local function \w+\(.*\)`) // comments, definitions
	luaCall     = regexp.MustCompile(`\b(?:call|try|redis\.pcall)\(`)
	luaTrial    = regexp.MustCompile(`\btrial\(`)
	luaCommands = regexp.MustCompile(`^\(\s*'([A-Z]+)'(?:\s*,\s*'([A-Z]+)')?`)
)

// commandsIn returns what an ACL calls the commands of a script, by how it
// calls them. Pub/sub of clusters and of single servers count as the same.
func commandsIn(t *testing.T, file string, call *regexp.Regexp) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	source := luaOther.ReplaceAllString(string(text), "")
	var rights []string
	for _, at := range call.FindAllStringIndex(source, -1) {
		rest := source[at[1]-1:]
		m := luaCommands.FindStringSubmatch(rest)
		if m == nil {
			t.Errorf("%s: a command that cannot be read from its source: %.40q", file, rest)
			continue
		}
		right := "+" + strings.ToLower(m[1])
		if m[1] == "PUBSUB" {
			right += "|" + strings.ToLower(m[2])
		}
		rights = append(rights, right)
	}
	return rights
}

// plainPubSub stands for the same on a cluster.
func plainPubSub(rights []string) []string {
	plain := map[string]string{
		"+spublish": "+publish", "+pubsub|shardnumsub": "+pubsub|numsub", "+ssubscribe": "+subscribe",
	}
	var out []string
	for _, r := range rights {
		if p, ok := plain[r]; ok {
			r = p
		}
		out = append(out, r)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func TestTheCheckTriesWhatTheScriptsDo(t *testing.T) {
	files, err := filepath.Glob("script/*.lua")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	var scripts, tried []string
	for _, f := range files {
		if filepath.Base(f) == "check.lua" {
			tried = commandsIn(t, f, luaTrial)
		} else {
			scripts = append(scripts, commandsIn(t, f, luaCall)...)
		}
	}
	if want, got := plainPubSub(scripts), plainPubSub(tried); !slices.Equal(got, want) {
		t.Errorf("check.lua tries\n%q; the scripts use\n%q", got, want)
	}
}

func TestTheRightsAreWhatTheCheckTries(t *testing.T) {
	tried := commandsIn(t, "script/check.lua", luaTrial)
	tried = append(tried, "+subscribe", "+ssubscribe") // no script can
	slices.Sort(tried)
	want := slices.Concat(otherRights, keyRights, pubSubRights, shardedRights)
	slices.Sort(want)
	if !slices.Equal(tried, want) {
		t.Errorf("check.lua tries\n%q; the rights are\n%q", tried, want)
	}
}

func TestAPrefixIsEscapedInAPattern(t *testing.T) {
	for prefix, want := range map[string]string{
		"latchkey":  `~latchkey:*`,
		"shop:eu-1": `~shop:eu-1:*`,
		"a*b?c[d]":  `~a\*b\?c\[d\]:*`,
		`a\b`:       `~a\\b:*`,
		"a b\tc":    `~a?b?c:*`,
	} {
		if got := keyPattern(prefix); got != want {
			t.Errorf("%q: %s, want %s", prefix, got, want)
		}
	}
}
