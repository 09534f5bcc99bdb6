package backend

// Outage returns a *DownError if a server that operations have gone to counts as
// down, else nil.
func (be *Backend) Outage() error {
	if be.only != nil {
		return be.only.down()
	}
	return be.slotMap.outage()
}

func (m *slotMap) outage() error {
	for _, l := range m.all() {
		if err := l.down(); err != nil {
			return err
		}
	}
	return nil
}
