package remote

// Outage returns a *DownError if a server that operations have gone to counts as
// down, else nil.
func (r *Room) Outage() error {
	if r.single != nil {
		return r.single.down()
	}
	return r.places.outage()
}

func (p *places) outage() error {
	p.mu.Lock()
	lanes := make([]*lane, 0, len(p.lanes))
	for _, l := range p.lanes {
		lanes = append(lanes, l)
	}
	p.mu.Unlock()
	for _, l := range lanes {
		if err := l.down(); err != nil {
			return err
		}
	}
	return nil
}
