package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/core"
)

// A terminal may obey C1 controls, which package json leaves as they are.
func TestJSONHasNoControlCharacters(t *testing.T) {
	const key = "a\u009b2Jb\u007fc\x1bd\u0080é"
	var b strings.Builder
	if err := writeJSON(&b, key); err != nil {
		t.Fatal(err)
	}
	line := strings.TrimSuffix(b.String(), "\n")
	for _, r := range line {
		if r < 0x20 || r >= 0x7f && r <= 0x9f {
			t.Errorf("%q has %U", line, r)
		}
	}
	var back string
	if err := json.Unmarshal([]byte(line), &back); err != nil || back != key {
		t.Errorf("%q, %v, want %q", back, err, key)
	}
}

func TestABreakWithoutAnswerIsSaidToBeOpen(t *testing.T) {
	tl := &tool{}
	for _, kind := range []error{core.ErrBackend, core.ErrNotHeld} {
		err := unanswered{&core.OperatorError{Key: "k", Err: kind, Cause: errors.New("EOF")}}
		said := strings.Contains(tl.explain(err), "may be broken")
		if want := kind == core.ErrBackend; said != want {
			t.Errorf("%v: %q", kind, tl.explain(err))
		}
		if exitStatus(err) != exitStatus(err.error) {
			t.Errorf("%v: status %d", kind, exitStatus(err))
		}
	}
}
