package report

// Claim is one figure that must be shown.
type Claim struct {
	Row  string `json:"row"`
	Want string `json:"want"`
	Got  string `json:"got"`
	// Verdict is Pass, Fail or NotRun.
	Verdict string `json:"verdict"`
	// Variant is the same figure against the best variant of a peer, if that is
	// better than what is compared with.
	Variant string `json:"variant,omitempty"`
}

// The verdicts.
const (
	Pass   = "pass"
	Fail   = "FAIL"
	NotRun = "not run"
)

// Judge returns a claim; got is only asked if all that it is about has run.
func Judge(row, want string, ran bool, got func() (string, bool)) Claim {
	c := Claim{Row: row, Want: want, Verdict: NotRun}
	if ran {
		var ok bool
		c.Verdict = Fail
		if c.Got, ok = got(); ok {
			c.Verdict = Pass
		}
	}
	return c
}

// ClaimTable shows what must be shown.
func ClaimTable(claims []Claim) *Table {
	t := &Table{Head: []string{"Must show", "figure", "measured", "", "against a variant"}, Text: true}
	for _, c := range claims {
		t.Rows = append(t.Rows, []string{c.Row, c.Want, c.Got, c.Verdict, c.Variant})
	}
	return t
}
