package idgen

import (
	"encoding/json"
	"errors"
	"flag"
	"math"
	"strings"
	"testing"
)

// form is one of the texts of an ID.
type form struct {
	name   string
	text   func(ID) string
	append func(ID, []byte) []byte
	parse  func(string) (ID, error)
}

var forms = []form{
	{"decimal", ID.String, func(id ID, b []byte) []byte { b, _ = id.AppendText(b); return b }, ParseID},
	{"base32", ID.Base32, ID.AppendBase32, ParseBase32},
	{"hex", ID.Hex, ID.AppendHex, ParseHex},
}

func TestAnIDHasOneTextOfEachForm(t *testing.T) {
	for _, c := range []struct {
		id    ID
		texts [3]string // as in forms
	}{
		{0, [3]string{"0", "0000000000000", "0000000000000000"}},
		{1, [3]string{"1", "0000000000001", "0000000000000001"}},
		{31, [3]string{"31", "000000000000z", "000000000000001f"}},
		{32, [3]string{"32", "0000000000010", "0000000000000020"}},
		{1<<53 + 1, [3]string{"9007199254740993", "0080000000001", "0020000000000001"}},
		{121166181380915207, [3]string{"121166181380915207", "03bkr00000007", "01ae780000000007"}},
		{math.MaxInt64, [3]string{"9223372036854775807", "7zzzzzzzzzzzz", "7fffffffffffffff"}},
	} {
		for i, form := range forms {
			if got := form.text(c.id); got != c.texts[i] {
				t.Errorf("%s of %d is %q, want %q", form.name, int64(c.id), got, c.texts[i])
			}
			if got := string(form.append(c.id, []byte("id="))); got != "id="+c.texts[i] {
				t.Errorf("%s of %d appended is %q", form.name, int64(c.id), got)
			}
			if got, err := form.parse(c.texts[i]); got != c.id || err != nil {
				t.Errorf("%s %q is %d, %v; want %d", form.name, c.texts[i], int64(got), err, int64(c.id))
			}
		}
	}
}

// refusal is a text that is no ID, and the byte from which it is none.
type refusal struct {
	text   string
	offset int
	reason string
}

func TestParsingIsStrict(t *testing.T) {
	const notBase32 = "not one of 0123456789abcdefghjkmnpqrstvwxyz"
	for name, refusals := range map[string][]refusal{
		"decimal": {
			{"", 0, "empty"},
			{"+1", 0, "not a digit"},
			{"-1", 0, "not a digit"},
			{" 1", 0, "not a digit"},
			{"1 ", 1, "not a digit"},
			{"1\n", 1, "not a digit"},
			{"1_000", 1, "not a digit"},
			{"1e3", 1, "not a digit"},
			{"0x1f", 1, "not a digit"},
			{"٣", 0, "not a digit"}, // a digit three of another script
			{"12\x00", 2, "not a digit"},
			{"00", 1, "a leading zero"},
			{"007", 1, "a leading zero"},
			{"9223372036854775808", 18, "greater than 9223372036854775807"},
			{"9999999999999999999", 18, "greater than 9223372036854775807"},
			{"10000000000000000000", 19, "greater than 9223372036854775807"},
			{"92233720368547758070", 19, "greater than 9223372036854775807"},
			{strings.Repeat("9", 1<<20), 18, "greater than 9223372036854775807"},
		},
		"base32": {
			{"", 0, "too short"},
			{"000000000001", 12, "too short"},
			{"00000000000001", 13, "too long"},
			{"8000000000000", 0, "too large: the first character is at most 7"},
			{"zzzzzzzzzzzzz", 0, "too large: the first character is at most 7"},
			{"A000000000000", 0, notBase32},
			{"000000000000A", 12, notBase32},
			{"000000i000000", 6, notBase32},
			{"000000l000000", 6, notBase32},
			{"000000o000000", 6, notBase32},
			{"000000u000000", 6, notBase32},
			{"000000-000001", 6, notBase32},
			{"00000000000é", 11, notBase32},
			{"000000000000\xff", 12, notBase32},
		},
		"hex": {
			{"", 0, "too short"},
			{"1", 1, "too short"},
			{"00000000000000010", 16, "too long"},
			{"8000000000000000", 0, "too large: the first digit is at most 7"},
			{"ffffffffffffffff", 0, "too large: the first digit is at most 7"},
			{"000000000000000F", 15, "not one of 0123456789abcdef"},
			{"0x00000000000001", 1, "not one of 0123456789abcdef"},
			{"000000000000000g", 15, "not one of 0123456789abcdef"},
			{"-000000000000001", 0, "not one of 0123456789abcdef"},
		},
	} {
		for _, form := range forms {
			if form.name != name {
				continue
			}
			for _, c := range refusals {
				id, err := form.parse(c.text)
				wantRefusal(t, err, name, c)
				if id != 0 {
					t.Errorf("%s: the ID is %d with an error, want 0", name, int64(id))
				}
			}
		}
	}
}

func wantRefusal(t *testing.T, err error, form string, want refusal) {
	t.Helper()
	var e *ParseError
	if !errors.As(err, &e) || !errors.Is(err, ErrInvalidID) {
		t.Errorf("%s %.80q: %v, want a *ParseError that matches ErrInvalidID", form, want.text, err)
		return
	}
	if e.Form != form || e.Offset != want.offset || e.Reason != want.reason || e.Len != len(want.text) || !strings.HasPrefix(want.text, e.Text) {
		t.Errorf("%s %.80q: %#v; want offset %d, %q", form, want.text, e, want.offset, want.reason)
	}
}

func TestANegativeNumberIsNoID(t *testing.T) {
	for _, id := range []ID{-1, math.MinInt64} {
		for _, form := range forms {
			if back, err := form.parse(form.text(id)); err == nil {
				t.Errorf("%s of %d is %q, which parses as %d", form.name, int64(id), form.text(id), int64(back))
			}
		}
		for name, f := range map[string]func() error{
			"AppendText":   func() error { _, err := id.AppendText(nil); return err },
			"MarshalText":  func() error { _, err := id.MarshalText(); return err },
			"MarshalJSON":  func() error { _, err := id.MarshalJSON(); return err },
			"json.Marshal": func() error { _, err := json.Marshal(map[string]any{"id": id}); return err },
			"Value":        func() error { _, err := id.Value(); return err },
			"UnmarshalText": func() error {
				return new(ID).UnmarshalText([]byte(id.String()))
			},
			"UnmarshalJSON": func() error { return json.Unmarshal([]byte(`"`+id.String()+`"`), new(ID)) },
			"Scan":          func() error { return new(ID).Scan(int64(id)) },
			"Scan text":     func() error { return new(ID).Scan(id.String()) },
		} {
			if err := f(); !errors.Is(err, ErrInvalidID) {
				t.Errorf("%s of %d: %v, want ErrInvalidID", name, int64(id), err)
			}
		}
	}
	if b, err := ID(-1).AppendText([]byte("id=")); string(b) != "id=" || err == nil {
		t.Errorf("AppendText = %q, %v; want what was there before", b, err)
	}
}

func TestAFailedUnmarshalLeavesTheIDUnchanged(t *testing.T) {
	id := ID(7)
	for name, err := range map[string]error{
		"UnmarshalText": id.UnmarshalText([]byte("12x")),
		"UnmarshalJSON": id.UnmarshalJSON([]byte(`"12x"`)),
		"Scan":          id.Scan("12x"),
		"Scan NULL":     id.Scan(nil),
	} {
		if err == nil || id != 7 {
			t.Errorf("%s: %v, and the ID is %d", name, err, int64(id))
		}
	}
}

func TestAnIDCanBeAFlag(t *testing.T) {
	var id ID
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(new(strings.Builder))
	flags.TextVar(&id, "order", ID(0), "the order")
	if err := flags.Parse([]string{"-order", "42"}); err != nil || id != 42 {
		t.Errorf("the flag is %d, %v; want 42", int64(id), err)
	}
	if err := flags.Parse([]string{"-order", "042"}); err == nil {
		t.Error("042 was taken for an order")
	}
}

func TestFormsAreWrittenAndReadWithoutAllocating(t *testing.T) {
	id := ID(121166181380915207)
	buf := make([]byte, 0, 64)
	for _, form := range forms {
		text := form.text(id)
		if n := testing.AllocsPerRun(1000, func() { buf = form.append(id, buf[:0]) }); n != 0 {
			t.Errorf("append %s: %v allocations, want 0", form.name, n)
		}
		if n := testing.AllocsPerRun(1000, func() { idSink, _ = form.parse(text) }); n != 0 {
			t.Errorf("parse %s: %v allocations, want 0", form.name, n)
		}
		if n := testing.AllocsPerRun(1000, func() { stringSink = form.text(id) }); n != 1 {
			t.Errorf("%s: %v allocations, want the string only", form.name, n)
		}
	}
	decimal, quoted := []byte(id.String()), []byte(`"`+id.String()+`"`)
	var column any = decimal
	for name, f := range map[string]func(){
		"UnmarshalText": func() { idSink.UnmarshalText(decimal) },
		"UnmarshalJSON": func() { idSink.UnmarshalJSON(quoted) },
		"Scan":          func() { idSink.Scan(column) },
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

var idSink ID

func BenchmarkForms(b *testing.B) {
	id := ID(121166181380915207)
	buf := make([]byte, 0, 64)
	for _, form := range forms {
		text := form.text(id)
		b.Run(form.name+"/append", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				buf = form.append(id, buf[:0])
			}
		})
		b.Run(form.name+"/parse", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				idSink, _ = form.parse(text)
			}
		})
	}
}
