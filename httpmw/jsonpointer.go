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
	errJSONAmbiguous = errors.New("httpmw: more than one member of that name, or one that differs from it in case only")
	errJSONContainer = errors.New("httpmw: an object or array cannot be a part of a key")
	errJSONNumber    = errors.New("httpmw: a number in a key must be an integer, without fraction and exponent")
)

// find returns the text of the value that p points to in doc: a string's, an
// integer's digits, true or false; "" if there is none, or null.
//
// The handler behind may read the same document with other eyes, and a client
// that makes the two disagree would lock one thing and change another. So what
// parsers are known to differ on is refused: two members of one name (the first
// or the last may count), a name that differs in case only (to encoding/json it is
// the same), and other forms of numbers (1.0 and 1e0 are 1 to some).
//
// No tree is built: doc is validated as a whole by encoding/json, which also
// bounds its depth to 10,000, and then all but the way to the value is skipped.
// Its Decoder could walk, too, but would make 64 KiB of small values cost a
// hundred thousand allocations, which is for the client to choose.
func (p jsonPointer) find(doc []byte) (string, error) {
	if !utf8.Valid(doc) || !json.Valid(doc) {
		return "", errNotJSON
	}
	c := jsonCursor{doc: doc}
	return p.descend(&c)
}

// descend reads the next value of c, whole, unless it fails.
func (p jsonPointer) descend(c *jsonCursor) (string, error) {
	switch first := c.peek(); {
	case len(p) == 0:
		return scalar(c.value())
	case first == '{':
		return p.inObject(c)
	case first == '[':
		return p.inArray(c)
	}
	c.value()
	return "", nil
}

func (p jsonPointer) inObject(c *jsonCursor) (found string, err error) {
	wanted, seen := []byte(p[0]), false
	for c.enter('{'); c.more('}'); {
		name := c.value()
		if bytes.IndexByte(name, '\\') < 0 {
			name = name[1 : len(name)-1]
		} else {
			text, err := unquote(name)
			if err != nil {
				return "", err
			}
			name = []byte(text)
		}
		c.enter(':')
		if !bytes.EqualFold(name, wanted) {
			c.value()
			continue
		}
		if seen || !bytes.Equal(name, wanted) {
			return "", errJSONAmbiguous
		}
		seen = true
		if found, err = p[1:].descend(c); err != nil {
			return "", err
		}
	}
	return found, nil
}

func (p jsonPointer) inArray(c *jsonCursor) (found string, err error) {
	index, err := strconv.Atoi(p[0])
	if err != nil || strconv.Itoa(index) != p[0] { // 01, +1
		index = -1
	}
	c.enter('[')
	for i := 0; c.more(']'); i++ {
		if i != index {
			c.value()
		} else if found, err = p[1:].descend(c); err != nil {
			return "", err
		}
	}
	return found, nil
}

func scalar(value []byte) (string, error) {
	switch value[0] {
	case '"':
		return unquote(value)
	case 'n':
		return "", nil
	case 't', 'f':
		return string(value), nil
	case '{', '[':
		return "", errJSONContainer
	}
	if bytes.ContainsAny(value, ".eE") || string(value) == "-0" {
		return "", errJSONNumber
	}
	return string(value), nil
}

func unquote(value []byte) (text string, err error) {
	err = json.Unmarshal(value, &text)
	return text, err
}

// jsonCursor walks a document that is known to be valid.
type jsonCursor struct {
	doc []byte
	at  int
}

// peek returns the first byte of what comes next.
func (c *jsonCursor) peek() byte {
	for {
		switch b := c.doc[c.at]; b {
		case ' ', '\t', '\n', '\r', ',': // of the commas, each is where it should be
			c.at++
		default:
			return b
		}
	}
}

// enter steps over mark, which comes next.
func (c *jsonCursor) enter(mark byte) {
	if c.peek() == mark {
		c.at++
	}
}

// more tells whether there is one more value before end, and steps over end.
func (c *jsonCursor) more(end byte) bool {
	if c.peek() != end {
		return true
	}
	c.at++
	return false
}

// value steps over the next value, or name, and returns its text.
func (c *jsonCursor) value() []byte {
	c.peek()
	start, depth := c.at, 0
	for {
		switch c.doc[c.at] {
		case '"':
			c.text()
		case '{', '[':
			depth++
			c.at++
		case '}', ']':
			depth--
			c.at++
		case ' ', '\t', '\n', '\r', ',', ':': // between values, so inside
			c.at++
		default:
			c.bare()
		}
		if depth == 0 {
			return c.doc[start:c.at]
		}
	}
}

// text steps over a string.
func (c *jsonCursor) text() {
	for c.at++; c.doc[c.at] != '"'; c.at++ {
		if c.doc[c.at] == '\\' {
			c.at++
		}
	}
	c.at++
}

// bare steps over a number, true, false or null.
func (c *jsonCursor) bare() {
	n := bytes.IndexAny(c.doc[c.at:], " \t\n\r,:]}")
	if n < 0 {
		n = len(c.doc) - c.at
	}
	c.at += n
}
