//go:build race

package idgen

const raceDetector = 1
