package httpmw

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// jsonPointer is the reference tokens of a JSON pointer (RFC 6901).
type jsonPointer []string

// parseJSONPointer returns the pointer, or the byte in text at which it is wrong
// and why.
func parseJSONPointer(text string) (p jsonPointer, offset int, reason string) {
	if !strings.HasPrefix(text, "/") {
		return nil, 0, "not a JSON pointer: it must begin with a slash (RFC 6901)"
	}
	for i := range len(text) {
		if text[i] == '~' && (i+1 == len(text) || text[i+1] != '0' && text[i+1] != '1') {
			return nil, i, "not a JSON pointer: ~ must be written ~0, and / in a name ~1 (RFC 6901)"
		}
	}
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	for name := range strings.SplitSeq(text[1:], "/") {
		p = append(p, unescape.Replace(name))
	}
	return p, 0, ""
}

// What makes a document unfit for a key.
var (
	errNotJSON       = errors.New("httpmw: the body is not one JSON value in UTF-8")
	errJSONAmbiguous = errors.New("httpmw: more than one member of that name")
	errJSONContainer = errors.New("httpmw: an object or array cannot be a part of a key")
	errJSONNumber    = errors.New("httpmw: a number in a key must be an integer, without fraction and exponent")
)

// find returns the text of the value that p points to in doc: a string's, an
// integer's digits, true or false; "" if there is none, or null.
//
// The handler behind may read the same document with other eyes, and a client
// that makes the two disagree would lock one thing and change another. So what
// parsers are known to differ on is refused: two members of one name (the first
// or the last may count), also if they differ in case only (to encoding/json they
// are one), and other forms of numbers (1.0 and 1e0 are 1 to some).
//
// What doc holds is never built in memory: it is validated as a whole, which
// also bounds its depth (encoding/json: 10,000), and then skipped, all but the
// way to the value.
func (p jsonPointer) find(doc []byte) (string, error) {
	if !utf8.Valid(doc) || !json.Valid(doc) {
		return "", errNotJSON
	}
	decoder := json.NewDecoder(bytes.NewReader(doc))
	decoder.UseNumber()
	return p.descend(decoder)
}

// descend reads the next value of d, whole.
func (p jsonPointer) descend(d *json.Decoder) (string, error) {
	token, err := d.Token()
	switch {
	case err != nil:
		return "", err
	case len(p) == 0:
		return scalar(token)
	case token == json.Delim('{'):
		return p.inObject(d)
	case token == json.Delim('['):
		return p.inArray(d)
	}
	return "", nil
}

func (p jsonPointer) inObject(d *json.Decoder) (found string, err error) {
	seen := false
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return "", err
		}
		name, _ := token.(string)
		if !strings.EqualFold(name, p[0]) {
			if err := skipValue(d); err != nil {
				return "", err
			}
			continue
		}
		if seen {
			return "", errJSONAmbiguous
		}
		seen = true
		if name != p[0] {
			err = skipValue(d)
		} else {
			found, err = p[1:].descend(d)
		}
		if err != nil {
			return "", err
		}
	}
	_, err = d.Token() // the closing brace
	return found, err
}

func (p jsonPointer) inArray(d *json.Decoder) (found string, err error) {
	index, err := strconv.Atoi(p[0])
	if err != nil || strconv.Itoa(index) != p[0] { // 01, +1
		index = -1
	}
	for i := 0; d.More(); i++ {
		if i == index {
			found, err = p[1:].descend(d)
		} else {
			err = skipValue(d)
		}
		if err != nil {
			return "", err
		}
	}
	_, err = d.Token() // the closing bracket
	return found, err
}

func scalar(token json.Token) (string, error) {
	switch v := token.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case json.Number:
		if s := v.String(); !strings.ContainsAny(s, ".eE") && s != "-0" {
			return s, nil
		}
		return "", errJSONNumber
	case nil:
		return "", nil
	}
	return "", errJSONContainer
}

// skipValue reads the next value of d and keeps nothing of it.
func skipValue(d *json.Decoder) error { return d.Decode(&skipped{}) }

type skipped struct{}

var _ json.Unmarshaler = (*skipped)(nil)

func (*skipped) UnmarshalJSON([]byte) error { return nil }
