package backend

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

func list(v ...any) []any {
	for i, e := range v {
		if n, ok := e.(int); ok {
			v[i] = int64(n)
		}
	}
	return v
}

func TestRepliesAreParsed(t *testing.T) {
	waiting := Reply{Status: Waiting, Ticket: 17, TTL: 5 * time.Millisecond, Position: 2, Heard: true, Queued: 3, Owner: "0x"}
	granted := Reply{Status: Granted, Tokens: TokenRange{4, 9007199254740991}, Queued: 2}
	onWire := list(2, 17, 5, 2, 3, "0x", 1)
	for _, c := range []struct {
		wire any
		want Reply
	}{
		{list(1, 4, 9007199254740991, 2), granted},
		{int64(9007199254740991), Reply{Status: Granted, Tokens: TokenRange{9007199254740991, 9007199254740991}}},
		{onWire, waiting},
		{list(3, -1, 0, "0x"), Reply{Status: Held, TTL: -time.Millisecond, Owner: "0x"}},
		{list(4, 8, 1000, ""), Reply{Status: Full, TTL: 8 * time.Millisecond, Queued: 1000}},
		{int64(5), Reply{Status: Released}},
		{list(5), Reply{Status: Released}},
		{int64(6), Reply{Status: Missing}},
		{list(5, onWire), Reply{Status: Released, Requeued: &waiting}},
		{list(6, list(1, 4, 9007199254740991, 2)), Reply{Status: Missing, Requeued: &granted}},
		{int64(7), Reply{Status: Lost}},
		{list(8, 6), Reply{Status: Renewed, Queued: 6}},
		{list(8, 6, 3, 4), Reply{Status: Renewed, Queued: 6, Tokens: TokenRange{3, 4}}},
		{int64(9), Reply{Status: Left}},
		{int64(10), Reply{Status: Absent}},
		{int64(11), Reply{Status: Broken}},
		{list(11, 5, 3, "0x"), Reply{Status: Broken, TTL: 5 * time.Millisecond, Queued: 3, Owner: "0x"}},
		{list(12, -2, 0, "", 17, 0, list()), Reply{Status: Inspected, TTL: -2 * time.Millisecond, Found: &Found{Now: time.UnixMicro(17)}}},
		{
			list(12, 5, 3, "0x", 17, 4, list("a", "1763907468123457", "b", "1.763907468123458e+15", "", "-inf", "c", "nan", "d", "x")),
			Reply{
				Status: Inspected, TTL: 5 * time.Millisecond, Queued: 3, Owner: "0x",
				Found: &Found{Now: time.UnixMicro(17), Token: 4, Line: []Place{
					{time.UnixMicro(1763907468123457), "a"}, {time.UnixMicro(1763907468123458), "b"}, {Entry: ""}, {Entry: "c"}, {Entry: "d"},
				}},
			},
		},
	} {
		got, err := parseReply(c.wire)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v: %+v, %v; want %+v", c.wire, got, err, c.want)
		}
	}
}

func TestErrorOfAnOperationIsAScriptError(t *testing.T) {
	_, err := parseReply(list(0, "OOM no memory"))
	if e, ok := errors.AsType[*ScriptError](err); !ok || e.Text != "OOM no memory" {
		t.Errorf("%v", err)
	}
}

func TestMalformedReplyIsAnError(t *testing.T) {
	for _, v := range []any{
		nil, "", 1, "granted", list(), list(nil), list("5"), list(list(5)), int64(-1), list(13), list(13, -1), list(13, 1, 2), list(14, 1), 5.0,
		int64(1), list(1), list(1, 1, 2), list(1, 1, 2, 3, 4), list(1, -1, 2, 3), list(1, 3, 2, 0), list(1, 1.5, 2, 3),
		list(1, "1", 2, 3), list(1, nil, 2, 3), list(1, 1, 2, -3),
		list(2, 1, "x", 1, 1, ""), list(2, 1, 1, 1, 1), list(2, 1, 1, 1, 1, 1), list(2, -1, 1, 1, 1, ""),
		list(3), list(4, 1), list(7, "x"), int64(8), list(8, 1, 2), list(8, 1, 2, 1), list(9, ""), list(10, "x"),
		list(11, 1), list(11, 1, 2, 3), list(11, 1, 2, "", 4), int64(12), list(12, 1, 2, "", 3, 4), list(12, 1, 2, "", 3, 4, "x"),
		list(12, 1, 2, "", 3, 4, list("a")), list(12, 1, 2, "", 3, 4, list("a", 1)), list(12, 1, 2, "", 3, -4, list()),
		list(12, 1, 2, "", 3, 4, list(), 5), list(12, -1, -2, "", 3, 4, list()),
		int64(0), list(0), list(0, 1),
		list(5, ""), list(5, 1), list(5, list()), list(5, list(7)), list(6, list(5)), list(5, list(0, "x")),
		list(5, list(3, 1, 1, "")), list(5, list(1, 1, 2, 3, 4)), list(5, list(1, 1, 2, 3), 1), list(5, int64(1)),
	} {
		r, err := parseReply(v)
		if _, own := errors.AsType[*ScriptError](err); err == nil || own {
			t.Errorf("%v: %+v, %v", v, r, err)
		}
		if !reflect.DeepEqual(r, Reply{}) {
			t.Errorf("%v: %+v beside an error", v, r)
		}
	}
}

// Each field of the fuzzed text is a number if it can be one; the rest, after a
// bar, is a list within the list.
func FuzzParseReply(f *testing.F) {
	for _, text := range []string{
		"12 1 2 x 3 4|a 1.5", "11", "11 1 2 x", "1 1 2 3", "2 1 2 3 4 x", "3 1 2 x", "4 1 2 x", "5", "5|1 2 3 0", "6|2 1 2 3 4 x", "8 1", "8 1 2 3", "5|5|5", "0 x", "10", "", " ",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseReply(fuzzed(text))
		if _, own := errors.AsType[*ScriptError](err); err != nil && !own && !reflect.DeepEqual(r, Reply{}) {
			t.Errorf("%+v beside %v", r, err)
		}
		if err == nil && (r.Status < Granted || r.Status > lastStatus || r.Tokens.First > r.Tokens.Last || r.Queued < 0) {
			t.Errorf("%+v", r)
		}
		if q := r.Requeued; q != nil && q.Status != Granted && q.Status != Waiting {
			t.Errorf("requeued: %+v", q)
		}
	})
}

func fuzzed(text string) []any {
	var v []any
	text, within, nested := strings.Cut(text, "|")
	for _, s := range strings.Fields(text) {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			v = append(v, n)
		} else {
			v = append(v, s)
		}
	}
	if nested {
		v = append(v, fuzzed(within))
	}
	return v
}
