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
	for _, l := range p.all() {
		if err := l.down(); err != nil {
			return err
		}
	}
	return nil
}
