package httpmw

import (
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// variants returns copies of r, one for each other way in which routers and
// middlewares behind the lock could read its path and method; mostly there is
// none. A client that writes its path in an unusual way must not reach one handler
// while [Only] and [Except] think of another.
func variants(r *http.Request) []*http.Request {
	methods, paths := methodsOf(r), pathsOf(r.URL)
	if len(methods) == 0 && len(paths) == 0 {
		return nil
	}
	var copies []*http.Request
	for _, method := range append([]string{r.Method}, methods...) {
		u := r.URL
		for i := -1; ; {
			c := new(http.Request)
			*c = *r
			c.Method, c.URL = method, u
			copies = append(copies, c)
			if i++; i == len(paths) {
				break
			}
			u = new(*r.URL)
			u.Path, _ = url.PathUnescape(paths[i]) // as EscapedPath makes them, they can be
			u.RawPath = paths[i]
		}
	}
	return copies[1:] // without r itself
}

// methodsOf returns what a middleware for method overrides could make of r.Method.
func methodsOf(r *http.Request) (methods []string) {
	for _, name := range [...]string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override"} {
		if values := r.Header[name]; len(values) > 0 {
			methods = append(methods, strings.ToUpper(strings.TrimSpace(values[0])))
		}
	}
	return methods
}

// pathsOf returns the paths, escaped, that routers could see in u beside
// u.EscapedPath itself, whose segments http.ServeMux decodes. Of a path with a
// RawPath, gin and gorilla/mux decode the whole, so that %2F parts two segments,
// and chi and echo nothing. Each of these may be cleaned (chi's CleanPath, gin's
// RemoveExtraSlash) or not.
func pathsOf(u *url.URL) (paths []string) {
	if u.RawPath == "" && !unclean(u.Path) {
		return nil
	}
	escaped := u.EscapedPath()
	add := func(p string) {
		if p != escaped && !slices.Contains(paths, p) {
			paths = append(paths, p)
		}
	}
	read := []string{escaped}
	if u.RawPath != "" {
		read = append(read, decodedPath(u.Path), decodedPath(u.RawPath))
	}
	for _, p := range read {
		add(uncleanable(p))
		add(cleaned(p))
		if strings.HasSuffix(p, "/.") || strings.HasSuffix(p, "/..") {
			add(cleaned(p + "/")) // gin and RFC 3986 keep a slash there, path.Clean does not
		}
	}
	return paths
}

// decodedPath returns p, which a router takes as it is, escaped.
func decodedPath(p string) string { return (&url.URL{Path: p}).EscapedPath() }

// unclean reports whether p may have empty segments or those of dots, or has no
// slash at its beginning, as * has not.
func unclean(p string) bool {
	return !strings.HasPrefix(p, "/") || strings.Contains(p, "/.") || strings.Contains(p, "//")
}

// cleaned is path.Clean with the slashes at the beginning and the end.
func cleaned(p string) string {
	clean := path.Clean("/" + p)
	if strings.HasSuffix(p, "/") && clean != "/" {
		clean += "/"
	}
	return clean
}

// uncleanable returns p such that an http.ServeMux does not clean it: its dots and
// empty segments are segments like others, which no pattern names.
func uncleanable(p string) string {
	segments := strings.Split(p, "/")
	for i, segment := range segments {
		switch {
		case segment == "." || segment == "..":
			segments[i] = strings.ReplaceAll(segment, ".", "%2E")
		case segment == "" && i > 0 && i < len(segments)-1:
			segments[i] = "%00"
		}
	}
	return strings.Join(segments, "/")
}
