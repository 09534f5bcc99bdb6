package idgen

import (
	"encoding/json"
	"errors"
	"math"
	"testing"
)

type invoice struct {
	ID     ID            `json:"id"`
	Parent *ID           `json:"parent,omitempty"`
	Lines  []ID          `json:"lines"`
	Notes  map[ID]string `json:"notes"`
	Next   ID            `json:"next,omitzero"`
}

func TestAnIDInJSONIsAString(t *testing.T) {
	parent := ID(1)
	in := invoice{ID: math.MaxInt64, Parent: &parent, Lines: []ID{0, 1<<53 + 1}, Notes: map[ID]string{42: "rush"}}
	const want = `{"id":"9223372036854775807","parent":"1","lines":["0","9007199254740993"],"notes":{"42":"rush"}}`
	b, err := json.Marshal(in)
	if err != nil || string(b) != want {
		t.Fatalf("%s, %v; want %s", b, err, want)
	}
	var out invoice
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	if out.ID != in.ID || *out.Parent != parent || out.Lines[1] != in.Lines[1] || out.Notes[42] != "rush" {
		t.Errorf("read back as %+v", out)
	}
}

func TestNullInJSONChangesNothing(t *testing.T) {
	out := invoice{ID: 7, Parent: new(ID)}
	if err := json.Unmarshal([]byte(`{"id":null,"parent":null}`), &out); err != nil || out.ID != 7 || out.Parent != nil {
		t.Errorf("%+v, %v; want the ID 7 and no parent", out, err)
	}
}

func TestOnlyAStringInJSONIsAnID(t *testing.T) {
	const number = "IDs are strings in JSON; declare the field as int64 for numbers"
	for _, c := range []struct{ json, form, text, reason string }{
		{`1`, "JSON", "1", number},
		{`-1`, "JSON", "-1", number},
		{`1e3`, "JSON", "1e3", number},
		{`true`, "JSON", "true", "IDs are strings in JSON"},
		{`["1"]`, "JSON", `["1"]`, "IDs are strings in JSON"},
		{`{}`, "JSON", `{}`, "IDs are strings in JSON"},
		{`""`, "decimal", "", "empty"},
		{`"null"`, "decimal", "null", "not a digit"},
		{`" 1"`, "decimal", " 1", "not a digit"},
		{`"\u0041"`, "decimal", "A", "not a digit"},
		{`"1\""`, "decimal", `1"`, "not a digit"},
		{`"01"`, "decimal", "01", "a leading zero"},
	} {
		id := ID(7)
		err := json.Unmarshal([]byte(c.json), &id)
		var e *ParseError
		if !errors.As(err, &e) || e.Form != c.form || e.Text != c.text || e.Reason != c.reason || id != 7 {
			t.Errorf("%s: %d, %v; want %s %q: %s", c.json, int64(id), err, c.form, c.text, c.reason)
		}
	}
	// Not what encoding/json would pass on.
	for _, bad := range []string{``, `"`, `"1`, `1"`, `"1"2"`, `"\"`, `"\x31"`, `nul`, `null `} {
		if err := new(ID).UnmarshalJSON([]byte(bad)); !errors.Is(err, ErrInvalidID) {
			t.Errorf("%q: %v, want ErrInvalidID", bad, err)
		}
	}
}

// Escapes are spelling: two JSON strings are equal if their characters are (RFC
// 8259, section 8.3).
func TestAnEscapedStringInJSONIsTheStringThatItSpells(t *testing.T) {
	var id ID
	if err := json.Unmarshal([]byte(`"\u0034\u0032"`), &id); err != nil || id != 42 {
		t.Errorf("%d, %v; want 42", int64(id), err)
	}
}
