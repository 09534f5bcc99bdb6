package idgen

import (
	"encoding/json"
	"errors"
	"math/big"
	"regexp"
	"strings"
	"testing"
)

// grammar says in other words than the parsers what the texts of a form are.
type grammar struct {
	begins *regexp.Regexp // matches texts, and what can be continued to one
	length int            // of all texts, or 0
	base   int
	digits *strings.Replacer // to those of math/big
}

var (
	toBig    = strings.NewReplacer("j", "i", "k", "j", "m", "k", "n", "l", "p", "m", "q", "n", "r", "o", "s", "p", "t", "q", "v", "r", "w", "s", "x", "t", "y", "u", "z", "v")
	grammars = map[string]grammar{
		"decimal": {regexp.MustCompile(`\A(0|[1-9][0-9]{0,18})?\z`), 0, 10, strings.NewReplacer()},
		"base32":  {regexp.MustCompile(`\A([0-7][0-9a-hjkmnp-tv-z]{0,12})?\z`), 13, 32, toBig},
		"hex":     {regexp.MustCompile(`\A([0-7][0-9a-f]{0,15})?\z`), 16, 16, strings.NewReplacer()},
		"uuid":    {regexp.MustCompile(`\A([0-7][0-9a-hjkmnp-tv-z]{0,25})?\z`), 26, 32, toBig},
	}
)

// number returns what the text is the text of, or nil.
func (g grammar) number(s string) *big.Int {
	if s == "" || g.length != 0 && len(s) != g.length || !g.canBegin(s) {
		return nil
	}
	n, _ := new(big.Int).SetString(g.digits.Replace(s), g.base)
	return n
}

// canBegin tells whether a text can begin with s.
func (g grammar) canBegin(s string) bool {
	if !g.begins.MatchString(s) {
		return false
	}
	if g.length != 0 || s == "" {
		return true
	}
	n, ok := new(big.Int).SetString(s, g.base)
	return ok && n.IsInt64()
}

// checkOffset checks that an error is a ParseError that points at the first byte
// with which no text can go on.
func checkOffset(t *testing.T, s string, err error, canBegin func(string) bool) {
	t.Helper()
	var e *ParseError
	if !errors.As(err, &e) || !errors.Is(err, ErrInvalidID) {
		t.Fatalf("%q: %v, want a *ParseError that matches ErrInvalidID", s, err)
	}
	if e.Offset < 0 || e.Offset > len(s) || e.Len != len(s) || !strings.HasPrefix(s, e.Text) || len(e.Text) < min(len(s), 64) {
		t.Fatalf("%q: %#v", s, e)
	}
	if !canBegin(s[:e.Offset]) || e.Offset < len(s) && canBegin(s[:e.Offset+1]) {
		t.Fatalf("%q: offset %d (%s)", s, e.Offset, e.Reason)
	}
	if len(err.Error()) > 1024 {
		t.Fatalf("the error of %d bytes has %d", len(s), len(err.Error()))
	}
}

func FuzzOnlyCanonicalTextsAreIDs(f *testing.F) {
	for _, s := range []string{
		"", "0", "00", "-1", "+1", "1 ", "9223372036854775807", "9223372036854775808", "18446744073709551616", "٣",
		"7zzzzzzzzzzzz", "8000000000000", "00000000000000", "000000o000000", "000000A000000",
		"7fffffffffffffff", "8000000000000000", "0x00000000000000", strings.Repeat("0", 200), "\xff",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, form := range forms {
			g := grammars[form.name]
			id, err := form.parse(s)
			if want := g.number(s); want == nil {
				checkOffset(t, s, err, g.canBegin)
			} else if err != nil || !want.IsInt64() || int64(id) != want.Int64() {
				t.Fatalf("%s %q is %d, %v; want %v", form.name, s, int64(id), err, want)
			} else if back := form.text(id); back != s {
				t.Fatalf("%s %q comes back as %q", form.name, s, back)
			}
		}
		// The interfaces take what ParseID takes.
		want, wantErr := ParseID(s)
		quoted, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		for name, unmarshal := range map[string]func(*ID) error{
			"UnmarshalText": func(id *ID) error { return id.UnmarshalText([]byte(s)) },
			"Scan":          func(id *ID) error { return id.Scan(s) },
			"Scan bytes":    func(id *ID) error { return id.Scan([]byte(s)) },
			"JSON":          func(id *ID) error { return json.Unmarshal(quoted, id) },
		} {
			id := ID(-7)
			if err := unmarshal(&id); (err == nil) != (wantErr == nil) || err == nil && id != want || err != nil && id != -7 {
				t.Fatalf("%s of %q: %d, %v; ParseID: %d, %v", name, s, int64(id), err, int64(want), wantErr)
			}
		}
	})
}

func FuzzAnIDComesBackFromEachForm(f *testing.F) {
	f.Add(int64(0), int64(1))
	f.Add(int64(-1), int64(9007199254740993))
	f.Add(int64(1)<<62, int64(1)<<62-1)
	f.Fuzz(func(t *testing.T, n, m int64) {
		a, b := ID(n), ID(m)
		for _, form := range forms {
			text := form.text(a)
			if back, err := form.parse(text); (err == nil) != (a >= 0) || err == nil && back != a {
				t.Fatalf("%d as %s is %q, which is %d, %v", n, form.name, text, int64(back), err)
			}
			if other := form.text(b); a >= 0 && b >= 0 && len(text) == len(other) && (a < b) != (text < other) {
				t.Fatalf("%d and %d do not sort as %q and %q", n, m, text, other)
			}
		}
		in := struct {
			ID   ID
			Keys map[ID]bool
		}{a, map[ID]bool{b: true}}
		text, err := json.Marshal(in)
		if (err == nil) != (a >= 0 && b >= 0) {
			t.Fatalf("%+v in JSON: %s, %v", in, text, err)
		}
		if err == nil {
			out := in
			out.ID, out.Keys = 0, nil
			if err := json.Unmarshal(text, &out); err != nil || out.ID != a || !out.Keys[b] {
				t.Fatalf("%s comes back as %+v, %v", text, out, err)
			}
		}
		column, err := a.Value()
		if (err == nil) != (a >= 0) {
			t.Fatalf("%d in SQL: %v, %v", n, column, err)
		}
		if err == nil {
			var back ID
			if err := back.Scan(column); err != nil || back != a {
				t.Fatalf("%v comes back as %d, %v", column, int64(back), err)
			}
		}
	})
}

// What encoding/json makes of it as a string or null is the reference, on valid
// JSON and on what is none.
func FuzzOnlyStringsInJSONAreIDs(f *testing.F) {
	for _, s := range []string{`"1"`, `1`, `null`, `"\u0031"`, `"1`, `"`, `""`, `"\"`, `"1"2"`, `{"a":1}`, ` "1"`, "\"1\n\"", `"12\/"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		id := ID(7)
		err := id.UnmarshalJSON(data)
		if err != nil && !errors.Is(err, ErrInvalidID) {
			t.Fatalf("%q: %v", data, err)
		}
		want, ok := ID(7), string(data) == "null"
		var s string
		if len(data) > 0 && data[0] == '"' && data[len(data)-1] == '"' && json.Unmarshal(data, &s) == nil {
			if n, err := ParseID(s); err == nil {
				want, ok = n, true
			}
		}
		if ok != (err == nil) || id != want {
			t.Fatalf("%q: %d, %v; want %d, %v", data, int64(id), err, int64(want), ok)
		}
	})
}
