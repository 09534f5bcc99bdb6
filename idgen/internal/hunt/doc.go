// Package hunt has tests only. They hunt for IDs that come twice: processes
// that make IDs are frozen, killed and restarted, their clocks jump, and their
// Redis comes back empty or with writes undone.
//
// The test is the parent. Each of its slots runs one process at a time: the
// test binary again, which makes IDs with a contender's generator and writes
// them to its parent, who keeps and compares them all. An ID counts once it is
// written: one that dies in the memory of a killed process was seen by nobody.
// Children reach Redis through a proxy of the parent's.
//
// A hunt that finds nothing proves nothing unless it can find something: the
// same hunt over a plain generator must find duplicates.
//
// The quick form is in go test; the flags -each and -faults make it as long as
// one likes, and -seed repeats the order of the faults, their lengths and what
// the processes do, though not their timing.
package hunt
