// Command ids measures package idgen beside other ways to make IDs, in one
// process and in one run: trust the ratios, not the absolute figures.
//
//	go run ./ids                                 # everything, in about three minutes
//	go run ./ids -case 'single|parallel' -contender 'UUIDv7|NewV7' -time 1s
//	go run ./ids -rounds 6 -md IDS.md -json ids.json
//
// The contenders of a case run in turn, and that once a round: what slows the
// machine for a while then slows all of them. Each has a loop of its own around
// a direct call of its method or function: none pays for a closure or an
// interface that another does not.
//
// It starts a redis-server of its own, for those that need one. A contender that
// cannot be measured makes the command exit with 1. A figure that is missed does
// not.
package main
