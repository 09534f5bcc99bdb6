package httpmw

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/latchkey-go/latchkey/core"
)

// wiringFault is a key, or a scope, that no request of a route can have: the
// program's fault and no client's.
type wiringFault struct{ text string }

var _ error = (*wiringFault)(nil)

func (f *wiringFault) Error() string { return "httpmw: " + f.text }

// missing returns what stands in the key for the part, which r does not have.
func (p *part) missing(r *http.Request, t keyTerms) (string, error) {
	if fault := p.neverThere(r, t.aroundMux); fault != nil {
		return "", fault
	}
	if t.fallback != nil {
		if text := t.fallback(r); text != "" {
			return text, nil
		}
	}
	return "", &missingPart{p.Ref.String(), p.Source == sourcePath && r.Pattern == ""}
}

// neverThere returns why no request of r's route has the part, nil if one may.
func (p *part) neverThere(r *http.Request, aroundMux bool) error {
	switch {
	case p.Source == sourcePath && r.Pattern == "" && aroundMux:
		return &wiringFault{fmt.Sprintf("the key needs %v, and the lock stands around a mux: path values exist inside it", p.Ref)}
	case p.Source == sourceRequest && p.Name == requestRoute:
		return &wiringFault{fmt.Sprintf("the key needs %v, and the router has set no pattern (http.Request.Pattern)", p.Ref)}
	case p.Source == sourcePath && lacksWildcard(r.Pattern, p.Name):
		return &wiringFault{fmt.Sprintf("the key needs %v, and the route %q has no wildcard {%s}", p.Ref, r.Pattern, p.Name)}
	}
	return nil
}

// lacksWildcard reports whether no path under the pattern has a value of that name.
// No pattern lacks nothing: nobody knows.
func lacksWildcard(pattern, name string) bool {
	rest, wildcards := routePattern(pattern)
	for {
		i := strings.IndexAny(rest, wildcards)
		if i < 0 {
			return pattern != ""
		}
		_, wildcard, after := cutWildcard(rest, i)
		if wildcard == name {
			return false
		}
		rest = after
	}
}

// missingPart is a part of the key that a request does not have.
type missingPart struct {
	part string
	// noRoute: a path value where no route is known, so that it may be missing in
	// all requests.
	noRoute bool
}

var _ error = (*missingPart)(nil)

func (m *missingPart) Error() string { return fmt.Sprintf("%v: %s", core.ErrKeyMissing, m.part) }

func (m *missingPart) Unwrap() error { return core.ErrKeyMissing }

// logFault logs what err says of the program, once for each pattern.
func (l *locked) logFault(r *http.Request, err error) {
	if fault, is := errors.AsType[*wiringFault](err); is {
		if l.told.First(r.Pattern) {
			slog.ErrorContext(r.Context(), "httpmw: no request of this route has its lock's key, and each is answered with 500; "+
				"this is logged once for each route", "pattern", r.Pattern, "error", fault)
		}
		return
	}
	if m, is := errors.AsType[*missingPart](err); is && m.noRoute && l.told.First("") {
		slog.WarnContext(r.Context(), "httpmw: a request has no path value, and its route is not known: "+
			"path values exist inside the router, under a name that its route has; this is logged once", "part", m.part)
	}
}
