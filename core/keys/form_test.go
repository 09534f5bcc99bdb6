package keys_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/latchkey-go/latchkey/core/keys"
)

const someUUID = "123e4567-e89b-12d3-a456-426614174000"

func TestAFormMakesOneTextOfAllThatMeanTheSame(t *testing.T) {
	for _, c := range []struct {
		form        keys.Form
		value, want string
	}{
		{"", "042", "042"},
		{keys.Int, "42", "42"},
		{keys.Int, "042", "42"},
		{keys.Int, "+42", "42"},
		{keys.Int, "+0042", "42"},
		{keys.Int, "-042", "-42"},
		{keys.Int, "-0", "0"},
		{keys.Int, "+0", "0"},
		{keys.Int, "000", "0"},
		{keys.Int, strings.Repeat("0", 300) + "7", "7"},
		{keys.Int, "9223372036854775807", "9223372036854775807"},
		{keys.Int, "-9223372036854775808", "-9223372036854775808"},
		{keys.UUID, someUUID, someUUID},
		{keys.UUID, strings.ToUpper(someUUID), someUUID},
		{keys.UUID, "{" + strings.ToUpper(someUUID) + "}", someUUID},
		{keys.UUID, "urn:uuid:" + someUUID, someUUID},
		{keys.UUID, "URN:UUID:" + strings.ToUpper(someUUID), someUUID},
		{keys.UUID, strings.ReplaceAll(someUUID, "-", ""), someUUID},
		{keys.Lower, "AbZ-09@[`{", "abz-09@[`{"},
		{keys.Lower, "already", "already"},
		{keys.Lower, "É\u212a\u0130\xff", "É\u212a\u0130\xff"},
		{keys.Lower, "", ""},
	} {
		if got, err := c.form.Canonical(c.value); got != c.want || err != nil {
			t.Errorf("%q of %q = %q, %v; want %q", c.form, c.value, got, err, c.want)
		}
	}
}

func TestAValueWithoutTheFormIsRefused(t *testing.T) {
	for form, values := range map[keys.Form][]string{
		keys.Int: {
			"", "-", "+", "++1", "4 2", " 42", "42\n", "0x2a", "1_000", "1e3", "42.0", "٤٢", "４２", "−42",
			"9223372036854775808", "-9223372036854775809", "18446744073709551616",
		},
		keys.UUID: {
			"", "42", someUUID[1:], someUUID + "0", " " + someUUID, "{" + someUUID, someUUID + "}", "(" + someUUID + ")", "}" + someUUID + "{",
			"urn:guid:" + someUUID, "urn:uuid:" + strings.ReplaceAll(someUUID, "-", ""), "{" + strings.ReplaceAll(someUUID, "-", "") + "}",
			strings.Replace(someUUID, "1", "g", 1), strings.Replace(someUUID, "-", "0", 1), strings.Replace(someUUID, "-e", "e-", 1),
			strings.ReplaceAll(someUUID, "-", "")[:31] + "-",
		},
		"hex": {"42"},
	} {
		for _, value := range values {
			got, err := form.Canonical(value)
			fe, is := errors.AsType[*keys.FormError](err)
			if got != "" || !is || fe.Form != form || value != "" && strings.Contains(err.Error(), value) && form != "hex" {
				t.Errorf("%q of %q = %q, %v", form, value, got, err)
			}
		}
	}
}

// What a handler's parser takes is the reference: equal for it, equal here.
func FuzzFormsAreCanonical(f *testing.F) {
	for _, s := range []string{"042", "+42", "-0", "9223372036854775808", "{" + someUUID + "}", "x" + someUUID + "y", "URN:UUID:" + someUUID, "É\u212aK", "\xff"} {
		f.Add(s, strings.ToUpper(s))
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for form, parse := range map[keys.Form]func(string) (string, error){
			keys.Int:  func(s string) (string, error) { n, err := strconv.ParseInt(s, 10, 64); return fmt.Sprint(n), err },
			keys.UUID: func(s string) (string, error) { id, err := uuid.Parse(s); return id.String(), err },
			keys.Lower: func(s string) (string, error) {
				return strings.Map(func(c rune) rune {
					if c < 0x80 {
						return []rune(strings.ToLower(string(c)))[0]
					}
					return c
				}, strings.ToValidUTF8(s, "\ufffd")), nil
			},
		} {
			ka, errA := form.Canonical(a)
			again, err := form.Canonical(ka)
			if errA == nil && (err != nil || again != ka) {
				t.Fatalf("%q of %q = %q, and of that %q, %v", form, a, ka, again, err)
			}
			pa, failsA := parse(a)
			if errA == nil && failsA != nil || form == keys.Int && errA != nil && failsA == nil {
				t.Fatalf("%q of %q = %q, %v; its parser says %q, %v", form, a, ka, errA, pa, failsA)
			}
			kb, errB := form.Canonical(b)
			if pb, _ := parse(b); errA == nil && errB == nil && ka == kb && pa != pb || form != keys.Lower && errA == nil && errB == nil && pa == pb && ka != kb {
				t.Fatalf("%q: %q is %q, %q is %q; to its parser %q and %q", form, a, ka, b, kb, pa, pb)
			}
		}
	})
}
