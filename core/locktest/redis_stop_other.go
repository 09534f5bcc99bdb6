//go:build !unix

package locktest

// Stop needs SIGSTOP, which this system does not have: the test fails.
func (r *Redis) Stop() {
	r.tb.Helper()
	r.tb.Fatal("locktest: stopping redis-server needs a Unix system")
}

// Continue needs SIGCONT, which this system does not have: the test fails.
func (r *Redis) Continue() {
	r.tb.Helper()
	r.tb.Fatal("locktest: continuing redis-server needs a Unix system")
}
