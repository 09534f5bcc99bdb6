// Package timer is when the lock's alarms go off, and whether a caller's time is over. It
// knows neither Redis nor locks.
package timer
