package tally

import (
	"reflect"
	"testing"
)

func TestTotalsThatAreSavedAreLoaded(t *testing.T) {
	dir := t.TempDir()
	s := New("S7 none")
	s.Count(func(t *Totals) {
		t.Grants, t.Doubles = 3, 1
		t.Faults.Add(Counts{"redis killed": 2, "reply lost": 1})
		t.Faults.Add(Counts{"reply lost": 4})
		t.Violations = append(t.Violations, "O1")
	})
	want := s.End()
	if err := want.Save(dir); err != nil {
		t.Fatal(err)
	}
	all, err := Load(dir)
	if err != nil || len(all) != 1 || !reflect.DeepEqual(all[0], want) {
		t.Errorf("%+v, %v, want %+v", all, err, want)
	}
	if got, sum := want.Faults.String(), want.Faults.Sum(); got != "2 redis killed, 5 reply lost" || sum != 7 {
		t.Errorf("%q, %d in all", got, sum)
	}
}
