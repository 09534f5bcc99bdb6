package idgen

import (
	"errors"
	"strings"
	"testing"
)

func TestAParseErrorShowsWhereTheTextGoesWrong(t *testing.T) {
	for _, c := range []struct {
		parse func(string) (ID, error)
		text  string
		want  string
	}{
		{ParseID, "12a4", `idgen: not a valid ID: decimal "12a4", offset 2: not a digit`},
		{ParseID, "1\r\nSet-Cookie: a=b", `idgen: not a valid ID: decimal "1\r\nSet-Cookie: a=b", offset 1: not a digit`},
		{ParseBase32, "00000000", `idgen: not a valid ID: base32 "00000000", offset 8: too short`},
		{ParseHex, strings.Repeat("0", 100), `idgen: not a valid ID: hex "` + strings.Repeat("0", 64) + `"… (100 bytes), offset 16: too long`},
	} {
		if _, err := c.parse(c.text); err == nil || err.Error() != c.want {
			t.Errorf("%v\nwant %s", err, c.want)
		}
	}
}

func TestAParseErrorIsShortWhateverTheText(t *testing.T) {
	hostile := strings.Repeat("\x00", 1<<20)
	for _, form := range forms {
		_, err := form.parse(hostile)
		var e *ParseError
		if !errors.As(err, &e) {
			t.Fatalf("%s: %v", form.name, err)
		}
		if len(e.Text) != 64 || e.Len != 1<<20 || len(err.Error()) > 512 {
			t.Errorf("%s: the error keeps %d bytes of %d and prints %d", form.name, len(e.Text), e.Len, len(err.Error()))
		}
	}
	err := new(ID).UnmarshalJSON([]byte("[" + hostile))
	if err == nil || len(err.Error()) > 512 {
		t.Errorf("JSON: the error prints %d bytes", len(err.Error()))
	}
}

func TestAParseErrorHasANameForTelemetry(t *testing.T) {
	_, err := ParseID("x")
	for _, err := range []error{err, ErrInvalidID} {
		var named interface{ ErrorType() string }
		if !errors.As(err, &named) || named.ErrorType() != "invalid_id" {
			t.Errorf("%v has not the name invalid_id", err)
		}
	}
}
