// Package torture tries to make two holders of one lock. Its tests are the
// scenarios of the campaign that RELIABILITY.md tells of:
//
//	S1   simulated time: small worlds that a seed lets go wrong (package sim)
//	S2   a state machine against the API on a real Redis
//	S3   real processes contend (package fleet)
//	S4   processes are stopped for longer than their leases last
//	S5   processes are killed
//	S6   Redis is stopped, or pauses
//	S7   Redis is killed, with and without persistence
//	S8   replies get lost, connections break
//	S12  a crowd meets the cap of waiters
//	S15  all of it at random
//	S16  Redis loses leases that processes pass on among their own requests
//
// Whatever happens is written down as a history, which oracles judge (package
// history). The other scenarios are tests of other packages. Command campaign
// runs all of them; command mutants makes mistakes in the lock, each of which one
// of the scenarios must notice.
//
// It is a module of its own, so that what it needs is nothing that a user of the
// library gets. Without flags each scenario is short, and go test runs them all.
package torture
