package main

import "testing"

// Whoever changes a text that a mutant changes learns it from go test, not from
// the next campaign.
func TestTheTextsThatMutantsChangeAreThere(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range mutants() {
		if seen[m.name] {
			t.Errorf("two mutants are called %q", m.name)
		}
		seen[m.name] = true
		if _, err := m.overlay("../../../..", t.TempDir()); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

func TestAnEditThatIsNotThereOrTwiceFails(t *testing.T) {
	for _, old := range []string{"no such text", "local"} {
		m := mutant{edits: []edit{{scripts + "renew.lua", old, "x"}}}
		if _, err := m.overlay("../../../..", t.TempDir()); err == nil {
			t.Errorf("%q was replaced", old)
		}
	}
}
