package report

import "testing"

func TestMedianOfAnEvenNumberIsTheMeanOfTheTwoInTheMiddle(t *testing.T) {
	for want, values := range map[float64][]float64{7: {7}, 2: {3, 1, 2}, 2.5: {4, 1, 2, 3}} {
		if got := Median(values); got != want {
			t.Errorf("Median(%v) = %v, want %v", values, got, want)
		}
	}
	values := []int{3, 1, 2}
	Median(values)
	if values[0] != 3 {
		t.Errorf("the values are in another order: %v", values)
	}
}
