package engine

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// The table of states in ARCHITECTURE.md is what the machine does.
func TestTheTableOfStates(t *testing.T) {
	const file, begin, end = "../../../ARCHITECTURE.md", "<!-- states -->\n", "<!-- end of states -->"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	old, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", file)
	}
	table := tableOfStates(t)
	if *update {
		if err := os.WriteFile(file, []byte(before+begin+table+end+after), 0o666); err != nil {
			t.Fatal(err)
		}
	} else if old != table {
		t.Errorf("%s is not what the machine does:\n%s", file, differ(old, table))
	}
}

// toState brings e1 into each state, with a question under way and r2 in line behind.
var toState = [...][]string{
	asking: {"join r1", "join r2"},
	queued: {"join r1", "reply acquire e1 held owner=other ttl=3s", "up", "reply acquire e1 waiting ticket=7 position=1 ttl=3s owner=other heard", "join r2", "pass 1s", "due next e1"},
	held: {
		"join r1", "reply acquire e1 held owner=other ttl=3s", "up", "reply acquire e1 waiting ticket=7 position=1 ttl=3s owner=other heard",
		"join r2", "pass 1s", "due next e1", "message granted e1 ticket=7 tokens=20..27",
	},
	retired: {"join r1", "join r2 ttl=9s", "leave r1"},
}

// tableOfStates is what comes of each event in each state.
func tableOfStates(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| event | asking | queued | held | retired |\n|---|---|---|---|---|\n")
	for _, event := range []string{
		"reply acquire e1 granted tokens=30..30", "reply acquire e1 waiting ticket=7 position=1 ttl=3s owner=other heard",
		"reply acquire e1 held owner=other ttl=3s", "reply acquire e1 full owner=other ttl=3s", "reply acquire e1 broken",
		"fail acquire e1 ambiguous", "message granted e1 ticket=7 tokens=20..27", "message contended e1", "message broken e1",
		"due next e1", "due expiry e1", "leave r1", "release e1", "up", "close",
	} {
		words := strings.Fields(event)
		name := strings.Join(slices.DeleteFunc(words, func(w string) bool {
			return w == "e1" || w == "r1" || w == "ambiguous" || strings.ContainsAny(w, "=") || w == "heard"
		}), " ")
		b.WriteString("| " + name + " |")
		for state, way := range toState {
			b.WriteString(" " + outcome(t, way, event, state) + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// outcome is the state that e1 comes to, and what is done, by kind.
func outcome(t *testing.T, way []string, event string, from int) string {
	if event == "release e1" && state(from) != held {
		return "" // nobody holds it
	}
	s := newStage(t)
	for _, command := range way {
		s.do(strings.Fields(command))
	}
	e := s.entry("e1")
	if e.state != state(from) {
		t.Fatalf("e1 is %s, not %s", stateNames[e.state], stateNames[from])
	}
	var done []string
	if event == "due expiry e1" {
		s.now = s.now.Add(simTTL)
	}
	for _, f := range s.do(strings.Fields(event)) {
		words := strings.Fields(f)
		kind := words[0]
		switch kind {
		case "set", "clear":
			continue
		case "send":
			kind = words[1]
			if len(words) > 2 && words[2] != "e1" {
				kind += " for " + words[2]
			}
		}
		if !slices.Contains(done, kind) {
			done = append(done, kind)
		}
	}
	text := strings.Join(done, ", ")
	if e.state != state(from) {
		text = strings.TrimSuffix("**"+stateNames[e.state]+"**; "+text, "; ")
	}
	return text
}
