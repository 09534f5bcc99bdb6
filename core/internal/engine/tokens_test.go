package engine

import (
	"fmt"
	"testing"
)

func block(first, last uint64) TokenRange { return TokenRange{First: first, Last: last} }

func TestBlocksFollowEachOther(t *testing.T) {
	var k tokens
	var got []uint64
	k.start(block(10, 12))
	k.add(block(20, 21))
	for range 5 {
		got = append(got, k.take())
	}
	k.add(block(30, 30))
	got = append(got, k.take())
	if want := []uint64{10, 11, 12, 20, 21, 30}; fmt.Sprint(got) != fmt.Sprint(want) || k.left() != 0 {
		t.Errorf("tokens %v, %d left; want %v", got, k.left(), want)
	}
}

func TestOnlyWhatNobodyCanHaveGotSinceIsGivenBack(t *testing.T) {
	var k tokens
	k.start(block(10, 20))
	k.take()
	if used, reserved := k.unused(); used != 10 || reserved != 20 {
		t.Errorf("%d of %d, want 10 of 20", used, reserved)
	}
	k.add(block(40, 50)) // others may have got 21 to 39
	if used, reserved := k.unused(); used != 39 || reserved != 50 {
		t.Errorf("with a block in reserve: %d of %d, want 39 of 50", used, reserved)
	}
	for k.left() > 5 {
		k.take()
	}
	if used, reserved := k.unused(); used != 45 || reserved != 50 {
		t.Errorf("in the second block: %d of %d, want 45 of 50", used, reserved)
	}
}
