package fleet

import (
	"bytes"
	"testing"
	"testing/iotest"

	"github.com/latchkey-go/latchkey/core/internal/torture/history"
)

// What a process has told is known in whole, however it arrives, and though the
// process was killed in the middle of a word.
func TestWhatAProcessHasToldIsKnown(t *testing.T) {
	told := []record{
		{what: asked, key: 3, attempt: 1, at: 10},
		{what: granted, key: 3, attempt: 1, at: 12, token: 1 << 52, proven: 100},
		{what: asked, key: 3, attempt: 2, at: 13},
		{what: proven, key: 3, attempt: 1, at: 20, token: 1 << 52, proven: 150},
		{what: freed, key: 3, attempt: 1, at: 30, token: 1 << 52, proven: 0},
		{what: failed, class: classHeld, key: 3, attempt: 2, at: 31},
		{what: asked, key: 4, attempt: 3, at: 32},
	}
	var wire bytes.Buffer
	w := recorder{out: &wire}
	for _, r := range told {
		w.tell(r)
	}
	wire.Write(record{what: back, attempt: 1}.append(nil)[:recordSize-1])

	l := newLedger()
	if err := hear(iotest.OneByteReader(&wire), func(r record) { l.take(7, r) }); err != nil {
		t.Fatal(err)
	}
	want := []history.Attempt{
		{Key: "k3", Call: 10, Return: 12, Outcome: history.Granted, Token: 1 << 52, First: 100, Proven: 150, Freed: 30, Back: history.Never},
		{Key: "k3", Call: 13, Return: 31, Outcome: history.Held, Proven: history.Never, Freed: history.Never, Back: history.Never},
		{Key: "k4", Call: 32, Return: history.Never, Proven: history.Never, Freed: history.Never, Back: history.Never},
	}
	if len(l.attempts) != len(want) || len(l.found) > 0 {
		t.Fatalf("%d attempts, found %v", len(l.attempts), l.found)
	}
	for i, a := range l.attempts {
		want[i].Process, want[i].Caller = 7, 7
		if a != want[i] {
			t.Errorf("attempt %d: %+v, want %+v", i, a, want[i])
		}
	}
}
