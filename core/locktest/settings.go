package locktest

import (
	"os"
	"strconv"
	"strings"
)

// setting is a line of a server's configuration.
type setting struct {
	name string // in lower case
	args []string
}

// settingsIn reads the command line of redis-server as it does: an argument that
// begins with "--" is a name, or a name and its values ("--requirepass secret"); the
// one after a bare name is a value, whatever it begins with. Files that it includes
// are read, too, as far as they are there.
func settingsIn(args []string) []setting {
	var all []setting
	afterName := false
	for _, arg := range args {
		if name, isName := strings.CutPrefix(arg, "--"); isName && !afterName {
			s, ok := parseSetting(name)
			if ok {
				all = append(all, s)
			}
			afterName = ok && len(s.args) == 0
			continue
		}
		if n := len(all); n > 0 {
			all[n-1].args = append(all[n-1].args, arg)
		}
		afterName = false
	}
	return withIncluded(all, 0)
}

// withIncluded puts the settings of included files where they are included.
func withIncluded(all []setting, depth int) []setting {
	const deepest = 8
	var flat []setting
	for _, s := range all {
		if s.name != "include" || len(s.args) != 1 || depth == deepest {
			flat = append(flat, s)
			continue
		}
		flat = append(flat, withIncluded(settingsOf(s.args[0]), depth+1)...)
	}
	return flat
}

// settingsOf reads a configuration or an ACL file.
func settingsOf(path string) []setting {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil // the server says so
	}
	var all []setting
	for line := range strings.Lines(string(text)) {
		if s, ok := parseSetting(line); ok && !strings.HasPrefix(s.name, "#") {
			all = append(all, s)
		}
	}
	return all
}

// parseSetting reads a name and its values, of which one may be quoted.
func parseSetting(line string) (setting, bool) {
	fields := strings.Fields(line)
	if len(fields) == 0 {
		return setting{}, false
	}
	s := setting{strings.ToLower(fields[0]), fields[1:]}
	_, rest, _ := strings.Cut(strings.TrimSpace(line), fields[0])
	if text, err := strconv.Unquote(strings.TrimSpace(rest)); err == nil {
		s.args = []string{text}
	} else if rest = strings.TrimSpace(rest); len(rest) > 1 && rest[0] == '\'' && rest[len(rest)-1] == '\'' {
		s.args = []string{rest[1 : len(rest)-1]}
	}
	return s, true
}
