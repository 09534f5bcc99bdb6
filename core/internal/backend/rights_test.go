package backend

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	luaOther = regexp.MustCompile(`(?m)--.*$|^local function \w+\(.*\)`) // comments, definitions
	luaCall  = regexp.MustCompile(`\b(?:call|try|redis\.pcall)\(`)
	luaTrial = regexp.MustCompile(`\btrial\(`)
	// PUBLISH and NUMSUB are words that differ on a cluster: see script.go.
	luaCommands = regexp.MustCompile(`^\(\s*(?:'([A-Z]+)'|(PUBLISH))(?:\s*,\s*(NUMSUB))?`)
)

// commandsIn returns what an ACL of a single server calls the commands of a
// script, by how it calls them.
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
		right := "+" + strings.ToLower(m[1]+m[2])
		if m[3] != "" {
			right += "|" + strings.ToLower(m[3])
		}
		rights = append(rights, right)
	}
	slices.Sort(rights)
	return slices.Compact(rights)
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
	slices.Sort(scripts)
	if scripts = slices.Compact(scripts); !slices.Equal(tried, scripts) {
		t.Errorf("check.lua tries\n%q; the scripts use\n%q", tried, scripts)
	}
}

func TestTheRightsAreWhatTheCheckTries(t *testing.T) {
	tried := commandsIn(t, "script/check.lua", luaTrial)
	tried = append(tried, "+subscribe") // no script can
	slices.Sort(tried)
	want := slices.Concat(otherRights, keyRights, pubSubRights)
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
