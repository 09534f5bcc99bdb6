package main

import (
	"fmt"
	"slices"
	"strings"
)

// mode is what stands between two buyers of the same item.
type mode string

const (
	modeNone     mode = "none"     // nothing
	modeRecipe   mode = "recipe"   // the lock of the flash-sale articles
	modeLatchkey mode = "latchkey" // httpmw and grpcmw
)

// allModes is the order in which they run and stand in the table.
var allModes = []mode{modeNone, modeRecipe, modeLatchkey}

// parseModes reads the -mode flag: one mode, or "all".
func parseModes(s string) ([]mode, error) {
	if s == "all" {
		return allModes, nil
	}
	if slices.Contains(allModes, mode(s)) {
		return []mode{mode(s)}, nil
	}
	names := make([]string, len(allModes))
	for i, m := range allModes {
		names[i] = string(m)
	}
	return nil, fmt.Errorf("-mode %q is not one of all, %s", s, strings.Join(names, ", "))
}
