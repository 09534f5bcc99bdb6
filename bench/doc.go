// Package bench measures Latchkey beside other ways to lock with Redis. Its
// benchmarks start a redis-server of their own, and run their candidates in one
// process on that one server: trust the ratios, not the absolute times.
//
//	go test -bench . -benchmem
package bench
