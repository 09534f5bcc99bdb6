// Package timer is the lock's sense of time: how long a lease is proven to
// be valid, and who is called when. It knows neither Redis nor locks.
package timer
