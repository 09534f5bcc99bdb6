//go:build race

package core_test

// raceDetector tells whether the race detector is on: it allocates, too.
const raceDetector = true
