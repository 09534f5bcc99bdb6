package idgen

import (
	"database/sql"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// Types of IDs for the tests: ofX has the prefix x.
type (
	ofOrd     struct{}
	ofUsr     struct{}
	ofOrdItem struct{}
	ofNothing struct{}
	ofInvalid struct{}
)

func (ofOrd) Prefix() string     { return "ord" }
func (ofUsr) Prefix() string     { return "usr" }
func (ofOrdItem) Prefix() string { return "ord_item" }
func (ofNothing) Prefix() string { return "" }
func (ofInvalid) Prefix() string { return "Ord" }

const (
	sampleText = "ord_01h455vb4pex5vsknk084sn02q"
	zeros13    = "0000000000000"
	zeros26    = zeros13 + zeros13
)

var sampleUUID = uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057")

// The vectors are those of the TypeID specification, version 0.3.
func TestATypedUUIDIsATypeID(t *testing.T) {
	for suffix, id := range map[string]string{
		zeros26:                      "00000000-0000-0000-0000-000000000000",
		zeros13 + "0000000000001":    "00000000-0000-0000-0000-000000000001",
		zeros13 + "000000000000a":    "00000000-0000-0000-0000-00000000000a",
		zeros13 + "000000000000g":    "00000000-0000-0000-0000-000000000010",
		zeros13 + "0000000000010":    "00000000-0000-0000-0000-000000000020",
		"7zzzzzzzzzzzzzzzzzzzzzzzzz": "ffffffff-ffff-ffff-ffff-ffffffffffff",
		"0123456789abcdefghjkmnpqrs": "0110c853-1d09-52d8-d73e-1194e95b5f19",
		"01h455vb4pex5vsknk084sn02q": "01890a5d-ac96-774b-bcce-b302099a8057",
	} {
		raw := uuid.MustParse(id)
		wantText(t, AsTyped[ofNothing](raw), suffix)
		wantText(t, AsTyped[ofOrd](raw), "ord_"+suffix)
		wantText(t, AsTyped[ofOrdItem](raw), "ord_item_"+suffix)
	}
}

func TestATypedIDIsThePrefixAndTheIDInBase32(t *testing.T) {
	for _, id := range []ID{0, 1, 121166181380915207, 1<<63 - 1} {
		wantText(t, AsTyped[ofNothing](id), id.Base32())
		wantText(t, AsTyped[ofOrd](id), "ord_"+id.Base32())
		wantText(t, AsTyped[ofOrdItem](id), "ord_item_"+id.Base32())
	}
}

// wantText checks that an ID has this text in all interfaces, and comes back from
// it.
func wantText[P Prefix, V Value](t *testing.T, id TypedID[P, V], want string) {
	t.Helper()
	text, err := id.MarshalText()
	if id.String() != want || string(text) != want || err != nil {
		t.Errorf("%v is %q, %q, %v; want %q", id.Raw(), id, text, err, want)
	}
	if b, err := id.AppendText([]byte("id=")); string(b) != "id="+want || err != nil {
		t.Errorf("%v appended is %q, %v", id.Raw(), b, err)
	}
	if back, err := ParseTyped[P, V](want); back != id || err != nil {
		t.Errorf("%q is %v, %v; want %v", want, back.Raw(), err, id.Raw())
	}
	type row struct {
		ID   TypedID[P, V]
		Keys map[TypedID[P, V]]int
	}
	var out row
	b, err := json.Marshal(row{id, map[TypedID[P, V]]int{id: 1}})
	if want := `{"ID":"` + want + `","Keys":{"` + want + `":1}}`; string(b) != want || err != nil {
		t.Errorf("in JSON: %s, %v; want %s", b, err, want)
	} else if err := json.Unmarshal(b, &out); err != nil || out.ID != id || out.Keys[id] != 1 {
		t.Errorf("from JSON: %+v, %v; want %v", out, err, want)
	}
	var column string
	var back, fromBytes TypedID[P, V]
	var some, none sql.Null[TypedID[P, V]]
	err = newEcho(t).QueryRowContext(t.Context(), "", id, id, []byte(want), id, nil).Scan(&column, &back, &fromBytes, &some, &none)
	if err != nil || column != want || back != id || fromBytes != id || some.V != id || !some.Valid || none.Valid {
		t.Errorf("in a database: %q, %v, %v, %v, NULL is %v, %v; want %v", column, back, fromBytes, some, none, err, want)
	}
}

func TestOnlyTheCanonicalTextIsATypedID(t *testing.T) {
	const missing = `the prefix "ord" is missing`
	const notBase32 = "not one of " + base32Alphabet
	for _, c := range []refusal{
		{"", 0, missing},
		{"_", 0, missing},
		{"or", 2, missing},
		{"ord", 3, missing},
		{"ord_", 4, "too short"},
		{"ord-" + zeros26, 3, missing},
		{zeros26, 0, missing},
		{"_" + zeros26, 0, missing},
		{"_ord_" + zeros26, 0, missing},
		{"ord__" + zeros26, 4, notBase32},
		{"ord_" + zeros26[1:], 29, "too short"},
		{"ord_" + zeros26 + "0", 30, "too long"},
		{"ord_8" + zeros26[1:], 4, "too large: the first character is at most 7"},
		{"ord_" + zeros26[1:] + " ", 29, notBase32},
		{"ord_" + zeros26[1:] + "A", 29, notBase32},
		{"ord_" + zeros26[1:] + "i", 29, notBase32},
		{"ord_" + zeros26[1:] + "l", 29, notBase32},
		{"ord_" + zeros26[1:] + "o", 29, notBase32},
		{"ord_" + zeros26[1:] + "u", 29, notBase32},
		{"ord_000000000-000000000-000000", 13, notBase32},
		{"ORD_" + zeros26, 0, missing},
		{"Ord_" + zeros26, 0, missing},
		{" ord_" + zeros26, 0, missing},
		{"o.d_" + zeros26, 1, missing},
		{"örd_" + zeros26, 0, missing},
		{"12345_" + zeros26, 0, missing},
		{"usr__" + zeros26, 0, missing},
		{strings.Repeat("a", 64) + "_" + zeros26, 0, missing},
		{"usr_" + strings.Repeat("_", 1<<20), 0, missing},
		{"usr_" + strings.Repeat("0", 1<<20), 0, missing}, // too long to look for another prefix in
	} {
		id, err := ParseTyped[ofOrd, uuid.UUID](c.text)
		wantRefusal(t, err, "typed", c)
		if id.Raw() != uuid.Nil {
			t.Errorf("%q: the ID is %v with an error", c.text, id)
		}
		if _, err := ParseTyped[ofNothing, uuid.UUID](c.text); !errors.Is(err, ErrInvalidID) && c.text != zeros26 {
			t.Errorf("%.80q without prefix: %v, want ErrInvalidID", c.text, err)
		}
	}
}

func TestTheLengthTellsAnIDFromAUUID(t *testing.T) {
	_, err := ParseTyped[ofOrd, ID]("ord_" + zeros26)
	wantRefusal(t, err, "typed", refusal{"ord_" + zeros26, 17, "too long"})
	_, err = ParseTyped[ofOrd, uuid.UUID]("ord_" + zeros13)
	wantRefusal(t, err, "typed", refusal{"ord_" + zeros13, 17, "too short"})
}

func TestAnIDOfAnotherTypeIsRefusedByName(t *testing.T) {
	for _, c := range []struct {
		err         error
		found, want string
		offset      int
	}{
		{parseAs[ofOrd]("usr_" + zeros13), "usr", "ord", 0},
		{parseAs[ofOrd]("or_" + zeros13), "or", "ord", 2},
		{parseAs[ofOrd]("ordx_" + zeros13), "ordx", "ord", 3},
		{parseAs[ofOrd]("ord_item_" + zeros13), "ord_item", "ord", 4},
		{parseAs[ofOrdItem]("ord_" + zeros13), "ord", "ord_item", 4},
		{parseAs[ofNothing]("ord_" + zeros13), "ord", "", 0},
		{parseAs[ofOrd]("usr_x"), "usr", "ord", 0}, // no ID of a user either, but that is beside the point
		{parseAs[ofOrd](strings.Repeat("a", 63) + "_" + zeros13), strings.Repeat("a", 63), "ord", 0},
	} {
		var e *ParseError
		if !errors.As(c.err, &e) || e.Prefix != c.found || e.WantPrefix != c.want || e.Offset != c.offset {
			t.Errorf("%#v; want the prefix %q instead of %q from byte %d", c.err, c.found, c.want, c.offset)
		}
	}
	const want = `idgen: not a valid ID: typed "usr_0000000000000", offset 0: the prefix is "usr", not "ord"`
	if err := parseAs[ofOrd]("usr_" + zeros13); err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

func parseAs[P Prefix](s string) error {
	_, err := ParseTyped[P, ID](s)
	return err
}

func TestIDsOfDifferentPrefixesAreDifferentTypes(t *testing.T) {
	order, user := reflect.TypeFor[TypedID[ofOrd, ID]](), reflect.TypeFor[TypedID[ofUsr, ID]]()
	if order.ConvertibleTo(user) || order.AssignableTo(user) {
		t.Errorf("%v can be made a %v", order, user)
	}
	if order.Size() != reflect.TypeFor[ID]().Size() || reflect.TypeFor[TypedID[ofOrd, uuid.UUID]]().Size() != 16 {
		t.Error("the prefix takes room")
	}
}

func TestATypedIDTakesNothingButItsText(t *testing.T) {
	id := AsTyped[ofOrd](ID(7))
	was := id
	for name, err := range map[string]error{
		"a number":        json.Unmarshal([]byte(`7`), &id),
		"a bad string":    json.Unmarshal([]byte(`"ord_7"`), &id),
		"bytes":           id.UnmarshalText([]byte("7")),
		"of another type": id.UnmarshalText([]byte("usr_" + zeros13)),
		"a column":        id.Scan(int64(7)),
		"NULL":            id.Scan(nil),
		"a bad column":    id.Scan("ord_7"),
	} {
		if !errors.Is(err, ErrInvalidID) || id != was {
			t.Errorf("%s: %v, and the ID is %v", name, err, id)
		}
	}
	if err := json.Unmarshal([]byte("null"), &id); err != nil || id != was {
		t.Errorf("null: %v, and the ID is %v", err, id)
	}
}

func TestATypedNegativeNumberHasNoText(t *testing.T) {
	id := AsTyped[ofOrd](ID(-1))
	wantNoText(t, id, ErrInvalidID)
	if _, err := ParseTyped[ofOrd, ID](id.String()); !errors.Is(err, ErrInvalidID) {
		t.Errorf("%v: %v, want ErrInvalidID", id, err)
	}
}

func TestAnInvalidPrefixIsAnErrorEverywhere(t *testing.T) {
	id := AsTyped[ofInvalid](sampleUUID)
	wantNoText(t, id, ErrOption)
	for name, err := range map[string]error{
		"parse":         func() error { _, err := ParseTyped[ofInvalid, uuid.UUID](id.String()); return err }(),
		"UnmarshalText": id.UnmarshalText([]byte("Ord_" + zeros26)),
		"UnmarshalJSON": id.UnmarshalJSON([]byte(`"Ord_` + zeros26 + `"`)),
		"Scan":          id.Scan("Ord_" + zeros26),
	} {
		if !errors.Is(err, ErrOption) || id.Raw() != sampleUUID {
			t.Errorf("%s: %v, want ErrOption and the ID unchanged", name, err)
		}
	}
	if want := `"Ord"_01h455vb4pex5vsknk084sn02q`; id.String() != want {
		t.Errorf("%v, want %s", id, want)
	}
}

func wantNoText[P Prefix, V Value](t *testing.T, id TypedID[P, V], want error) {
	t.Helper()
	for name, f := range map[string]func() error{
		"AppendText":   func() error { _, err := id.AppendText(nil); return err },
		"MarshalText":  func() error { _, err := id.MarshalText(); return err },
		"MarshalJSON":  func() error { _, err := id.MarshalJSON(); return err },
		"json.Marshal": func() error { _, err := json.Marshal([]any{id}); return err },
		"Value":        func() error { _, err := id.Value(); return err },
	} {
		if err := f(); !errors.Is(err, want) {
			t.Errorf("%s of %v: %v, want %v", name, id, err, want)
		}
	}
}

func TestTypedIDsAreWrittenAndReadWithoutAllocating(t *testing.T) {
	buf := make([]byte, 0, maxTypedLen)
	number, full := AsTyped[ofOrd](ID(121166181380915207)), AsTyped[ofOrd](sampleUUID)
	numberText, fullText := number.String(), full.String()
	numberBytes, fullBytes := []byte(numberText), []byte(fullText)
	var column any = fullBytes
	for name, f := range map[string]func(){
		"append ID":      func() { buf, _ = number.AppendText(buf[:0]) },
		"append UUID":    func() { buf, _ = full.AppendText(buf[:0]) },
		"parse ID":       func() { number, _ = ParseTyped[ofOrd, ID](numberText) },
		"parse UUID":     func() { full, _ = ParseTyped[ofOrd, uuid.UUID](fullText) },
		"unmarshal ID":   func() { number.UnmarshalText(numberBytes) },
		"unmarshal UUID": func() { full.UnmarshalText(fullBytes) },
		"scan UUID":      func() { full.Scan(column) },
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
	if n := testing.AllocsPerRun(1000, func() { stringSink = full.String() }); n != 1 {
		t.Errorf("String: %v allocations, want the string only", n)
	}
}

func BenchmarkTypedID(b *testing.B) {
	id := AsTyped[ofOrd](sampleUUID)
	buf := make([]byte, 0, maxTypedLen)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf, _ = id.AppendText(buf[:0])
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			id, _ = ParseTyped[ofOrd, uuid.UUID](sampleText)
		}
	})
}
