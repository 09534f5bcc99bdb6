package backend

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestEntryIsFixedWidthTextWithMetadataBehind(t *testing.T) {
	p := Process("0123456789abcdef0123456789abcdef")
	e := MakeEntry(MakeID(p, 0xbeef), 10*time.Second, 42, "host=a")
	if want := Entry("0x0123456789abcdef0123456789abcdef000000000000beef0001000000042host=a"); e != want {
		t.Errorf("entry %q, want %q", e, want)
	}
	if e.Process() != p || e.ID() != MakeID(p, 0xbeef) || e.Meta() != "host=a" {
		t.Errorf("parts %q, %q, %q", e.Process(), e.ID(), e.Meta())
	}
	longest := MakeEntry(MakeID(p, 1<<64-1), 24*time.Hour, maxTokens, "")
	if len(longest) != metaAt || longest.Meta() != "" {
		t.Errorf("the longest TTL has no room: %q", longest)
	}
	for tokens, want := range map[int]string{-1: "00001", 0: "00001", 1: "00001", 99_999: "99999", 100_000: "99999"} {
		if e := MakeEntry(MakeID(p, 1), time.Second, tokens, ""); string(e[wantAt:]) != want {
			t.Errorf("%d tokens: %q, want %q", tokens, e[wantAt:], want)
		}
	}
}

func TestIDIsOfItsProcessOnly(t *testing.T) {
	p, q := NewProcess(), NewProcess()
	if p == q || len(p) != 32 {
		t.Fatalf("processes %q and %q", p, q)
	}
	for _, want := range []uint64{0, 1, 0xdeadbeef, 1<<64 - 1} {
		if got, ok := MakeID(p, want).Of(p); !ok || got != want {
			t.Errorf("counter %d, %v; want %d", got, ok, want)
		}
		if _, ok := MakeID(p, want).Of(q); ok {
			t.Error("an ID is of another process")
		}
	}
	for _, id := range []ID{
		"", ID(p), MakeID(p, 1)[1:], MakeID(p, 1) + "0", ID(p) + "000000000000000g", ID(p) + "-000000000000001",
	} {
		if n, ok := id.Of(p); ok {
			t.Errorf("%q is number %d", id, n)
		}
	}
}

func TestTextThatIsNoEntryHasNoParts(t *testing.T) {
	good := string(MakeEntry(MakeID(NewProcess(), 1), time.Second, 1, "meta"))
	for _, text := range []string{
		"", "0x", good[:metaAt-1], "0z" + good[2:], "0s" + good[2:], good[:ttlAt] + "1 second" + good[wantAt:],
		good[:ttlAt] + "+0001000" + good[wantAt:], good[:ttlAt] + "0x001000" + good[wantAt:], strings.Repeat("x", 100),
	} {
		if e := Entry(text); e.ID() != "" || e.Process() != "" || e.Meta() != "" || e.TTL() != 0 || e.Broken() {
			t.Errorf("%q: %q, %q, %q, %v, %v", text, e.ID(), e.Process(), e.Meta(), e.TTL(), e.Broken())
		}
	}
}

func TestALeaseThatIsBrokenHasAllItsParts(t *testing.T) {
	e := MakeEntry(MakeID(NewProcess(), 1), 1500*time.Millisecond, 1, "meta")
	b := e[:modeAt] + "b" + e[modeAt+1:]
	if e.Broken() || !b.Broken() || b.ID() != e.ID() || b.Process() != e.Process() || b.Meta() != "meta" || b.TTL() != 1500*time.Millisecond {
		t.Errorf("%q of %q", b, e)
	}
}

func FuzzEntry(f *testing.F) {
	f.Add("", uint64(0), int64(1), "")
	f.Add(string(MakeEntry(MakeID(NewProcess(), 1), time.Second, 1, "")), uint64(1<<63), int64(86_400_000), "a=b\n\x00")
	f.Fuzz(func(t *testing.T, text string, counter uint64, ms int64, meta string) {
		e := Entry(text)
		if id := e.ID(); id != "" && (len(id) != ttlAt-processAt || string(id) != text[processAt:ttlAt] || e.Meta() != text[metaAt:]) {
			t.Errorf("%q: %q, %q", text, id, e.Meta())
		}
		ID(text).Of(Process(text[:len(text)/2]))

		ms = 1 + ((ms%86_400_000)+86_400_000)%86_400_000
		p := NewProcess()
		e = MakeEntry(MakeID(p, counter), time.Duration(ms)*time.Millisecond, 1, meta)
		if got, ok := e.ID().Of(p); !ok || got != counter || e.Process() != p || e.Meta() != meta {
			t.Errorf("%q: %d, %v, %q", e, got, ok, e.Meta())
		}
		if got := string(e[ttlAt:wantAt]); got != fmt.Sprintf("%08d", ms) {
			t.Errorf("TTL %q, want %d ms", got, ms)
		}
	})
}
