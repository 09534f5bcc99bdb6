package idgen

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func FuzzOnlyCanonicalTextsAreTypedIDs(f *testing.F) {
	for _, s := range []string{
		"", "_", "ord", "ord_", sampleText, "ord_" + zeros13, "ord_item_" + zeros26, zeros13, zeros26, "_" + zeros13, "usr_" + zeros26,
		"ord__" + zeros13, "ord_7zzzzzzzzzzzz", "ord_8zzzzzzzzzzzz", "ORD_" + zeros13, "ord_" + zeros26 + "0", "é_" + zeros13,
		strings.Repeat("a", 63) + "_" + zeros26,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		checkTyped[ofOrd, ID](t, s)
		checkTyped[ofOrd, uuid.UUID](t, s)
		checkTyped[ofOrdItem, ID](t, s)
		checkTyped[ofNothing, uuid.UUID](t, s)
		if id, err := ParseTyped[ofInvalid, ID](s); !errors.Is(err, ErrOption) || id.Raw() != 0 {
			t.Fatalf("%q with an invalid prefix: %v, %v", s, id, err)
		}
	})
}

func checkTyped[P Prefix, V Value](t *testing.T, s string) {
	t.Helper()
	var p P
	head, g := p.Prefix()+"_", grammars["base32"]
	if p.Prefix() == "" {
		head = ""
	}
	if _, ok := any(*new(V)).(uuid.UUID); ok {
		g = grammars["uuid"]
	}
	id, err := ParseTyped[P, V](s)
	suffix, ok := strings.CutPrefix(s, head)
	want := g.number(suffix)
	if !ok || want == nil {
		checkOffset(t, s, err, func(s string) bool {
			suffix, ok := strings.CutPrefix(s, head)
			return ok && g.canBegin(suffix) || strings.HasPrefix(head, s)
		})
		var e *ParseError
		if errors.As(err, &e); e.Prefix != "" && (e.WantPrefix != p.Prefix() || !strings.HasPrefix(s, e.Prefix+"_") || strings.Contains(s[len(e.Prefix)+1:], "_")) {
			t.Fatalf("%q: the prefix %q instead of %q", s, e.Prefix, e.WantPrefix)
		}
	} else if err != nil || numberOf(id.Raw()).Cmp(want) != 0 {
		t.Fatalf("%q is %v, %v; want %v", s, id.Raw(), err, want)
	} else if id.String() != s {
		t.Fatalf("%q comes back as %q", s, id)
	}
	quoted, jsonErr := json.Marshal(s)
	if jsonErr != nil {
		t.Fatal(jsonErr)
	}
	for name, unmarshal := range map[string]func(*TypedID[P, V]) error{
		"UnmarshalText": func(id *TypedID[P, V]) error { return id.UnmarshalText([]byte(s)) },
		"Scan":          func(id *TypedID[P, V]) error { return id.Scan(s) },
		"Scan bytes":    func(id *TypedID[P, V]) error { return id.Scan([]byte(s)) },
		"JSON":          func(id *TypedID[P, V]) error { return json.Unmarshal(quoted, id) },
	} {
		var other TypedID[P, V]
		if otherErr := unmarshal(&other); (otherErr == nil) != (err == nil) || other != id {
			t.Fatalf("%s of %q: %v, %v; ParseTyped: %v, %v", name, s, other, otherErr, id, err)
		}
	}
}

func numberOf[V Value](raw V) *big.Int {
	switch raw := any(raw).(type) {
	case ID:
		return big.NewInt(int64(raw))
	case uuid.UUID:
		return new(big.Int).SetBytes(raw[:])
	}
	return nil
}

func FuzzATypedIDComesBackFromItsText(f *testing.F) {
	f.Add([]byte(zeros26), []byte(sampleText))
	f.Add(sampleUUID[:], bytes.Repeat([]byte{0xff}, 16))
	f.Fuzz(func(t *testing.T, x, y []byte) {
		if len(x) < 16 || len(y) < 16 {
			return
		}
		a, b := uuid.UUID(x[:16]), uuid.UUID(y[:16])
		checkComesBack(t, AsTyped[ofOrd](a), AsTyped[ofOrd](b))
		checkComesBack(t, AsTyped[ofNothing](a), AsTyped[ofNothing](b))
		n, m := ID(binary.BigEndian.Uint64(x)>>1), ID(binary.BigEndian.Uint64(y)>>1)
		checkComesBack(t, AsTyped[ofOrdItem](n), AsTyped[ofOrdItem](m))
	})
}

func checkComesBack[P Prefix, V Value](t *testing.T, a, b TypedID[P, V]) {
	t.Helper()
	if back, err := ParseTyped[P, V](a.String()); err != nil || back != a {
		t.Fatalf("%v comes back as %v, %v", a, back, err)
	}
	if want := numberOf(a.Raw()).Cmp(numberOf(b.Raw())); strings.Compare(a.String(), b.String()) != want || (a == b) != (want == 0) {
		t.Fatalf("%v and %v do not sort as %v and %v", a, b, a.Raw(), b.Raw())
	}
	text, err := json.Marshal(map[TypedID[P, V]]TypedID[P, V]{a: b})
	var out map[TypedID[P, V]]TypedID[P, V]
	if err != nil {
		t.Fatal(err)
	} else if err := json.Unmarshal(text, &out); err != nil || len(out) != 1 || out[a] != b {
		t.Fatalf("%s comes back as %v, %v", text, out, err)
	}
	column, err := a.Value()
	var back TypedID[P, V]
	if err != nil {
		t.Fatal(err)
	} else if err := back.Scan(column); err != nil || back != a {
		t.Fatalf("%v comes back as %v, %v", column, back, err)
	}
}
