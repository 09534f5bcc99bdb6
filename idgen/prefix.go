package idgen

import (
	"fmt"
	"strconv"
)

// MaxPrefixLen is the longest prefix of a [TypedID], in bytes.
const MaxPrefixLen = 63

// Prefix names a type of ID. It is implemented by a struct without fields, whose
// only purpose is that the compiler can tell an ID of one type from that of
// another:
//
//	type Order struct{}
//
//	func (Order) Prefix() string { return "ord" }
//
// A prefix is 1 to 63 of the characters a-z and _, with a letter at both ends, or
// it is empty: the rule of the TypeID specification, version 0.3. It must always
// be the same; texts with the old one are refused after a change.
type Prefix interface {
	~struct{}
	Prefix() string
}

// prefixOf returns the prefix of P. The error matches [ErrOption] if it breaks
// the rule.
func prefixOf[P Prefix]() (string, error) {
	var p P
	s := p.Prefix()
	if !validPrefix(s) {
		return s, fmt.Errorf("%w: the prefix %s of %T is not up to %d of a-z and _ with a letter at both ends",
			ErrOption, quotePrefix(s), p, MaxPrefixLen)
	}
	return s, nil
}

// quotePrefix shows a prefix that is not valid.
func quotePrefix(s string) string { return strconv.Quote(s[:min(len(s), maxErrorText)]) }

func validPrefix(s string) bool {
	if s == "" {
		return true
	}
	if len(s) > MaxPrefixLen || s[0] == '_' || s[len(s)-1] == '_' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '_' && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
