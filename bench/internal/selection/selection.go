// Package selection has the flags that say what is measured, how often, and where
// it is written.
package selection

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
)

// Selection is what these flags say.
type Selection struct {
	Cases, Contenders *regexp.Regexp
	Rounds            int
	Markdown, JSON    string // files; may be empty
}

// Flags are a program's flags: those of a selection, and its own.
type Flags struct {
	*flag.FlagSet
	s    *Selection
	errs []error
}

// NewFlags returns flags that set s, and complain on stderr. Rounds is the
// default; cases and contenders are names to show how they look.
func NewFlags(program string, s *Selection, rounds int, cases, contenders string, stderr io.Writer) *Flags {
	f := &Flags{FlagSet: flag.NewFlagSet(program, flag.ContinueOnError), s: s}
	f.SetOutput(stderr)
	f.pattern(&s.Cases, "case", cases)
	f.pattern(&s.Contenders, "contender", contenders)
	f.IntVar(&s.Rounds, "rounds", rounds, "run the contenders of a case this many times, in turn, and show medians")
	f.StringVar(&s.Markdown, "md", "", "write a Markdown `file`")
	f.StringVar(&s.JSON, "json", "", "write a JSON `file`, with all rounds")
	return f
}

func (f *Flags) pattern(p **regexp.Regexp, name, names string) {
	*p = regexp.MustCompile("")
	f.Func(name, "only those that match this regular `expression`: names such as "+names, func(text string) (err error) {
		*p, err = regexp.Compile(text)
		return err
	})
}

// Bad notes that something is wrong if it is.
func (f *Flags) Bad(wrong bool, format string, args ...any) {
	if wrong {
		f.errs = append(f.errs, fmt.Errorf(format, args...))
	}
}

// ParseAll parses the arguments and calls check, which tells of all that is Bad.
// It has told about an error, with the usage.
func (f *Flags) ParseAll(args []string, check func()) error {
	if err := f.Parse(args); err != nil {
		return err
	}
	f.Bad(f.NArg() > 0, "unexpected argument %q", f.Arg(0))
	f.Bad(f.s.Rounds < 1, "-rounds %d is less than one", f.s.Rounds)
	check()
	err := errors.Join(f.errs...)
	if err != nil {
		fmt.Fprintln(f.Output(), err)
		f.Usage()
	}
	return err
}
