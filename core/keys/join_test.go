package keys_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/latchkey-go/latchkey/core/keys"
)

// The format is a contract between replicas of different versions: a change
// here is a change of every lock's name.
func TestJoinWritesPlainPartsAsTheyAreAndEscapesWhatCouldBeStructure(t *testing.T) {
	for _, c := range []struct {
		parts []string
		want  string
	}{
		{nil, ""},
		{[]string{"order"}, "order"},
		{[]string{"order", "acme", "42"}, "order:acme:42"},
		{[]string{"a:b", "c"}, "a%3Ab:c"},
		{[]string{"a", "b:c"}, "a:b%3Ac"},
		{[]string{"100%"}, "100%25"},
		{[]string{"%3A"}, "%253A"},
		{[]string{""}, "%-"},
		{[]string{"%-"}, "%25-"},
		{[]string{"", ""}, ":"},
		{[]string{"a", ""}, "a:"},
		{[]string{"", "a"}, ":a"},
		{[]string{"a b", "{x}", "c/d?e=f&g#h", "~!@$^*()"}, "a b:{x}:c/d?e=f&g#h:~!@$^*()"},
		{[]string{"a\x00\n\x1f\x7f"}, "a%00%0A%1F%7F"},
		{[]string{"Zürich", "東京", "🔑"}, "Zürich:東京:🔑"},
		{[]string{"\xff", "a\xc3"}, "%FF:a%C3"},
		{[]string{"\xed\xa0\x80"}, "%ED%A0%80"}, // a surrogate half
		{[]string{"\ufffd"}, "\ufffd"},          // valid, though it is what decoders return for faults
		{[]string{strings.Repeat("x", 200)}, strings.Repeat("x", 200)},
		{
			[]string{"doc", strings.Repeat("x", 197)},
			"doc:" + strings.Repeat("x", 151) + "%#" + "HASH",
		},
	} {
		got := keys.Join(c.parts...)
		if head, ok := strings.CutSuffix(c.want, "HASH"); ok {
			if !strings.HasPrefix(got, head) || len(got) != keys.MaxLen {
				t.Errorf("Join(%q) = %q (%d bytes), want %q and a hash", c.parts, got, len(got), head)
			}
		} else if got != c.want {
			t.Errorf("Join(%q) = %q, want %q", c.parts, got, c.want)
		}
	}
}

func TestLongKeysAreHashedTheSameWayForever(t *testing.T) {
	// printf 'doc:%0197d' 0 | tr 0 x | openssl dgst -sha256 -binary | basenc --base64url
	const want = "%#hkWfjsmSz1D9Y7dqHaDc5hWrdwZx-ULV_TAtcs1NUcw"
	if got := keys.Join("doc", strings.Repeat("x", 197)); !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want the suffix %q", got, want)
	}
}

// words returns every text of up to n letters out of alphabet.
func words(alphabet []string, n int) []string {
	all := []string{""}
	last := all
	for range n {
		var next []string
		for _, w := range last {
			for _, a := range alphabet {
				next = append(next, w+a)
			}
		}
		all = append(all, next...)
		last = next
	}
	return all
}

// distinct fails the test if two inputs have the same key.
type distinct map[string]string

func (d distinct) add(t *testing.T, key, input string) {
	t.Helper()
	if other, ok := d[key]; ok && other != input {
		t.Fatalf("%s and %s have the same key %q", other, input, key)
	}
	d[key] = input
	if len(key) > keys.MaxLen {
		t.Fatalf("%s: key of %d bytes", input, len(key))
	}
	if !utf8.ValidString(key) || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		t.Fatalf("%s: key %q is not plain text", input, key)
	}
}

func TestNoTwoListsOverADangerousAlphabetShareAKey(t *testing.T) {
	seen := distinct{}
	parts := words([]string{"a", ":", "%", "3", "A", "-", "#"}, 2)
	for _, a := range parts {
		seen.add(t, keys.Join(a), fmt.Sprintf("%q", []string{a}))
		for _, b := range parts {
			seen.add(t, keys.Join(a, b), fmt.Sprintf("%q", []string{a, b}))
			for _, c := range parts[:8] { // up to one letter
				seen.add(t, keys.Join(a, b, c), fmt.Sprintf("%q", []string{a, b, c}))
			}
		}
	}
	for n := 4; n < 40; n++ {
		seen.add(t, keys.Join(make([]string, n)...), fmt.Sprintf("%d empty parts", n))
	}
}

func TestNoTwoListsShareAKeyAroundTheLengthWhereHashingBegins(t *testing.T) {
	seen := distinct{}
	tails := words([]string{"a", ":", "%", "é", "\xff"}, 2)
	for n := 145; n <= 205; n++ {
		head := strings.Repeat("h", n)
		for _, a := range tails {
			for _, b := range tails[:6] { // up to one character
				seen.add(t, keys.Join(head+a, b), fmt.Sprintf("%d h + %q, %q", n, a, b))
				seen.add(t, keys.Join(head+a+strings.Repeat("t", 60), b), fmt.Sprintf("%d h + %q + 60 t, %q", n, a, b))
			}
		}
	}
}

func TestAShortKeyCannotImitateAHashedOne(t *testing.T) {
	hashed := keys.Join(strings.Repeat("x", 300))
	if got := keys.Join(hashed); got == hashed {
		t.Errorf("a part that is the text of the hashed key %q has the same key", hashed)
	}
	if got := mustParse(t, hashed).Key(); got == hashed {
		t.Errorf("a literal that is the text of the hashed key %q has the same key", hashed)
	}
}

func TestJoinAllocatesOnce(t *testing.T) {
	tenant, id, odd := "acme", "0197f3c2-9b7e-7cc1-8f52-6f2ab5a0e6d1", "a:b%ü\xff"
	if n := testing.AllocsPerRun(100, func() { sink = keys.Join("order", tenant, id, odd) }); n != 1 {
		t.Errorf("%v allocations, want 1", n)
	}
}

var sink string

// decode is the proof of injectivity: it gets the parts back out of any key that
// was not hashed. It is written against the documentation, not the code.
func decode(key string) (parts []string, hashed bool) {
	switch key {
	case "":
		return nil, false
	case "%-":
		return []string{""}, false
	}
	part := []byte{}
	for i := 0; i < len(key); i++ {
		switch {
		case key[i] == ':':
			parts = append(parts, string(part))
			part = part[:0]
		case key[i] == '%' && key[i+1] == '#':
			return nil, true
		case key[i] == '%':
			var c byte
			fmt.Sscanf(key[i+1:i+3], "%02X", &c)
			part = append(part, c)
			i += 2
		default:
			part = append(part, key[i])
		}
	}
	return append(parts, string(part)), false
}

func FuzzJoinIsInjective(f *testing.F) {
	f.Add("a:b", "c", "", uint8(2), "a", "b:c", "", uint8(2))
	f.Add("", "", "", uint8(1), "", "", "", uint8(0))
	f.Add("a", "", "", uint8(2), "a", "", "", uint8(1))
	f.Add("%3A", "%", "%-", uint8(3), ":", "%25", "%#", uint8(3))
	f.Add("\xc3\xa9", "\xc3", "\x00\x7f", uint8(3), "é", "\xc3", "", uint8(2))
	f.Add(strings.Repeat("é", 90), "x", "y", uint8(3), strings.Repeat("é", 90)+":x", "y", "", uint8(2))
	f.Fuzz(func(t *testing.T, a1, a2, a3 string, an uint8, b1, b2, b3 string, bn uint8) {
		a := []string{a1, a2, a3}[:an%4]
		b := []string{b1, b2, b3}[:bn%4]
		ka, kb := keys.Join(a...), keys.Join(b...)
		if (ka == kb) != slices.Equal(a, b) {
			t.Fatalf("Join(%q) = %q, Join(%q) = %q", a, ka, b, kb)
		}
		distinct{}.add(t, ka, "a")
		if got, hashed := decode(ka); !hashed && !slices.Equal(got, a) {
			t.Fatalf("Join(%q) = %q, which reads back as %q", a, ka, got)
		}
	})
}

func BenchmarkJoin(b *testing.B) {
	for _, c := range []struct {
		name  string
		parts []string
	}{
		{"plain", []string{"order", "acme", "0197f3c2-9b7e-7cc1-8f52-6f2ab5a0e6d1"}},
		{"escaped", []string{"order", "a:b", "Zürich %"}},
		{"hashed", []string{"order", strings.Repeat("x", 1000)}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sink = keys.Join(c.parts...)
			}
		})
	}
	b.Run("baseline=strings.Join", func(b *testing.B) {
		parts := []string{"order", "acme", "0197f3c2-9b7e-7cc1-8f52-6f2ab5a0e6d1"}
		b.ReportAllocs()
		for b.Loop() {
			sink = strings.Join(parts, ":")
		}
	})
}
