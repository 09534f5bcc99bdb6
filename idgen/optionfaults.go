package idgen

import (
	"errors"
	"fmt"
	"time"
)

// optionFaults collects what is wrong with a generator's options, so that one
// error can list it all.
type optionFaults []error

func (f *optionFaults) add(format string, args ...any) {
	*f = append(*f, fmt.Errorf("%w: "+format, append([]any{ErrOption}, args...)...))
}

func (f *optionFaults) unless(right bool, format string, args ...any) {
	if !right {
		f.add(format, args...)
	}
}

func (f optionFaults) err() error { return errors.Join(f...) }

// names looks at what keys are made of: see validName.
func (f *optionFaults) names(name, prefix string) {
	if !validName(name) {
		f.add("name %q is not 1 to %d of A-Z a-z 0-9 . _ ~ -", name, MaxNameLen)
	}
	if !validName(prefix) {
		f.add("KeyPrefix %q is not 1 to %d of A-Z a-z 0-9 . _ ~ -", prefix, MaxNameLen)
	}
}

func (f *optionFaults) segment(fewest, most int64) {
	if fewest < 1 || most > MaxSegment || fewest > most {
		f.add("Segment %d, %d is not 1 ≤ fewest ≤ most ≤ %d", fewest, most, MaxSegment)
	}
}

func (f *optionFaults) clock(now func() time.Time) {
	if now == nil {
		f.add("Clock is nil")
	}
}
