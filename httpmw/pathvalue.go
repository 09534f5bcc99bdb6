package httpmw

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/core"
)

// PathValue returns the value of the wildcard name in the route of r, decoded
// exactly once, or "" if there is none. It is what {path.name} in a template is, and
// {path.name|int} is made from. It is meant for a [KeyFunc] and for the handler behind
// the lock, which puts it into that form itself (strconv.Atoi).
//
// [http.Request.PathValue] alone is not enough. Under http.ServeMux it is decoded.
// chi, echo and, with some of its settings, gin leave it as the client wrote it, but
// only if the client wrote the path in an unusual way (URL.RawPath): there 4%32 and
// 42 are one value in two spellings, and the text a%2Fb is either the value a/b or
// the value a%2Fb. PathValue compares the router's pattern and values with the
// path to find out which of the two was handed out.
//
// The request must have the path that its router has read, or what
// [http.StripPrefix] has left of it. If a value holds a percent sign and it cannot
// be known whether it is decoded, the error matches [core.ErrKey]: a lock refuses
// the request with 400 and LOCK_KEY_INVALID. That takes a middleware that rewrites
// the path between the router and the lock, or a request without Pattern whose path
// has the same text once decoded and once not. r is left as it is.
func PathValue(r *http.Request, name string) (string, error) {
	value, bound := boundValue(r, name)
	if !bound {
		return "", fmt.Errorf("%w: httpmw: path value %s: the route has it, the request has an empty segment for it", core.ErrKey, name)
	}
	if !strings.Contains(value, "%") {
		return value, nil // decoded or not, it is the same
	}
	raw := r.URL.RawPath
	if raw == "" {
		raw = r.URL.EscapedPath()
	}
	isRaw, isDecoded := false, false
	if routed := filledPattern(r, name); routed != nil {
		subtree := strings.HasSuffix(r.Pattern, "/")
		is := func(path string) bool {
			return slices.ContainsFunc(routed, func(s string) bool {
				return s == path || subtree && strings.HasPrefix(path, s)
			})
		}
		isRaw, isDecoded = is(raw), is(r.URL.Path)
	}
	if isRaw == isDecoded {
		// Another router has set the value, or the path was changed since.
		if r.URL.RawPath == "" {
			return value, nil // no router takes values from elsewhere than URL.Path then
		}
		isRaw, isDecoded = strings.Contains(raw, value), strings.Contains(r.URL.Path, value)
	}
	switch {
	case isDecoded && !isRaw:
		return value, nil
	case isRaw && !isDecoded:
		decoded, err := url.PathUnescape(value)
		if err != nil {
			return "", fmt.Errorf("%w: httpmw: path value %s: %w", core.ErrKey, name, err)
		}
		return decoded, nil
	}
	return "", fmt.Errorf("%w: httpmw: path value %s: it cannot be known whether %q is decoded: the path and the route do not tell",
		core.ErrKey, name, value)
}

// boundValue returns r.PathValue(name), which panics after a CONNECT with an empty
// segment, //: http.ServeMux then finds a route with fewer values than wildcards
// (golang/go#81222).
func boundValue(r *http.Request, name string) (value string, bound bool) {
	defer func() { bound = recover() == nil }()
	return r.PathValue(name), true
}

// filledPattern returns the pattern of r with its path values filled in: the path as
// the router has read it, or the beginning of that if the pattern is for a subtree.
// Literal text with an escape may be meant decoded (http.ServeMux) or not (chi), so
// there are two of them then; there is none if name is no wildcard of the pattern.
// The wildcards are those of http.ServeMux ({id}, {rest...}, {$}), chi ({id},
// {id:regexp}, *), echo (:id, *) and gin (:id, *rest).
func filledPattern(r *http.Request, name string) []string {
	pattern, wildcards := routePattern(r.Pattern)
	var verbatim, decoded []byte
	literal := func(text string) {
		verbatim = append(verbatim, text...)
		if plain, err := url.PathUnescape(text); err == nil {
			text = plain
		}
		decoded = append(decoded, text...)
	}
	has := false
	for {
		i := strings.IndexAny(pattern, wildcards)
		if i < 0 {
			break
		}
		before, wildcard, after := cutWildcard(pattern, i)
		literal(before)
		value, _ := boundValue(r, wildcard)
		verbatim, decoded = append(verbatim, value...), append(decoded, value...)
		has = has || wildcard == name
		pattern = after
	}
	literal(pattern)
	switch {
	case !has:
		return nil
	case string(verbatim) == string(decoded):
		return []string{string(verbatim)}
	}
	return []string{string(verbatim), string(decoded)}
}

// routePattern returns the pattern without method and host, and what its wildcards
// begin with.
func routePattern(pattern string) (path, wildcards string) {
	path = pattern[max(strings.IndexByte(pattern, '/'), 0):]
	if strings.Contains(path, "{") {
		return path, "{*"
	}
	return path, ":*"
}

// cutWildcard cuts the pattern at the wildcard that begins at i.
func cutWildcard(pattern string, i int) (before, name, after string) {
	before, name = pattern[:i], pattern[i:]
	if name[0] == '{' {
		name, after = cutBraces(name)
		return before, name, after
	}
	if slash := strings.IndexByte(name, '/'); slash >= 0 {
		name, after = name[:slash], name[slash:]
	}
	if name == "*" {
		return before, name, after
	}
	if name[0] == '*' { // gin: the slash before it is a part of its value
		before = strings.TrimSuffix(before, "/")
	}
	return before, name[1:], after
}

// cutBraces returns the name of the wildcard that pattern begins with, and what
// follows it. A regular expression may have braces of its own.
func cutBraces(pattern string) (name, rest string) {
	end, depth := len(pattern), 0
	for i, c := range pattern {
		if c == '{' {
			depth++
		} else if c == '}' {
			if depth--; depth == 0 {
				end = i + 1
				break
			}
		}
	}
	name, _, _ = strings.Cut(strings.Trim(pattern[:end], "{}"), ":")
	return strings.TrimSuffix(name, "..."), pattern[end:]
}
