package engine

import "fmt"

// check returns what does not hold of m although it must after every Step.
func (m *Machine) check() error {
	requests, holders := 0, 0
	for key, q := range m.lines {
		n := 0
		for r := q.head(); r != nil; r = r.next {
			if r.line != q {
				return fmt.Errorf("%v is in the line of %s, and does not know it", r, key)
			}
			n++
		}
		requests += n
		e := q.entry
		switch {
		case n != q.requests.length:
			return fmt.Errorf("the line of %s has %d requests, not %d", key, n, q.requests.length)
		case e == nil && n == 0:
			return fmt.Errorf("the line of %s is kept for nothing", key)
		case e == nil:
			return fmt.Errorf("nothing stands in Redis for the line of %s", key)
		case e.line != q || e.state == retired || m.entries[e.Number] != e:
			return fmt.Errorf("%v, which is %s, stands for the line of %s", e, stateNames[e.state], key)
		case e.state != held && n == 0:
			return fmt.Errorf("%v stands in Redis for nobody", e)
		case e.lost:
			return fmt.Errorf("%v, which is lost, keeps the line of %s", e, key)
		}
	}
	for number, e := range m.entries {
		switch {
		case e.Number != number || number > m.counter:
			return fmt.Errorf("%v is known as e%d of %d", e, number, m.counter)
		case e.inFlight < 0 || e.renewing < 0 || e.renewing > maxRenewals:
			return fmt.Errorf("%v has %d questions and %d renewals under way", e, e.inFlight, e.renewing)
		case e.state != held && e.state != retired && e.line.entry != e:
			return fmt.Errorf("%v is %s, and stands for nobody", e, stateNames[e.state])
		case e.state == held:
			holders++
		}
	}
	if requests != m.requests || holders != m.holders {
		return fmt.Errorf("%d requests wait and %d hold, not %d and %d", requests, holders, m.requests, m.holders)
	}
	return nil
}
