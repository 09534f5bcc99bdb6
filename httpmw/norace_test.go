//go:build !race

package httpmw_test

// raceDetector tells whether the race detector is on: it allocates, too.
const raceDetector = false
