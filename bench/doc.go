// Command bench measures Latchkey beside other ways to lock with Redis, all on
// one Redis, or one Redis Cluster, and in one run: trust the ratios, not the
// absolute figures.
//
//	go run .                                     # everything, under five minutes
//	go run . -case 'hot 4×16' -contender 'latch|redsync' -time 1s
//	go run . -rounds 3 -md RESULTS.md -json results.json
//
// After the comparisons come trials of Latchkey alone (see [trial]): what a
// handoff allocates, what many leases and many waiters cost one process, and what
// becomes of waiters whose subscriptions are cut.
//
//	go run . -case 'allocations|waiters|leases|cuts' -hold 10s -cuts 5s
//
// It starts redis-server processes of its own. The callers of a case are
// goroutines of worker processes, which are this program once more (see [work]):
// so the CPU time of a contender is its own, and what it leaves behind disturbs
// nobody.
// Every critical section is watched for a second holder; one that is seen, or a
// contender that cannot be measured, makes the command exit with 1. A figure
// that is missed does not.
package main
