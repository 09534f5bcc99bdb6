package main

import "strings"

// said is what the tests of a step tell in their output: what they have logged, and
// how far each fuzz test has come.
func said(output string) []string {
	var lines []string
	for line := range strings.Lines(output) {
		line = strings.TrimRight(line, " \n")
		switch {
		case strings.HasPrefix(line, "fuzz: elapsed"):
			if n := len(lines); n > 0 && strings.HasPrefix(lines[n-1], "fuzz: elapsed") {
				lines = lines[:n-1] // it has come further
			}
			lines = append(lines, line)
		case strings.HasPrefix(line, "== Fuzz"), strings.HasPrefix(line, "    "):
			lines = append(lines, line)
		}
	}
	return lines
}
