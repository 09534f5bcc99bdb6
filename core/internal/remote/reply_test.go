package remote

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestRepliesAreParsed(t *testing.T) {
	waiting := Reply{Status: Waiting, Ticket: "17", TTL: 5 * time.Millisecond, Position: 2, Queued: 3, Owner: "0x"}
	granted := Reply{Status: Granted, Block: Block{4, 9007199254740991}, Queued: 2}
	for text, want := range map[string]Reply{
		"granted 4 9007199254740991 2":         granted,
		"waiting 17 5 2 3 0x":                  waiting,
		"held -1 0 0x":                         {Status: Held, TTL: -time.Millisecond, Owner: "0x"},
		"full 8 1000 ":                         {Status: Full, TTL: 8 * time.Millisecond, Queued: 1000},
		"released":                             {Status: Released},
		"missing":                              {Status: Missing},
		"released waiting 17 5 2 3 0x":         {Status: Released, Requeued: &waiting},
		"missing granted 4 9007199254740991 2": {Status: Missing, Requeued: &granted},
		"lost":                                 {Status: Lost},
		"renewed 6":                            {Status: Renewed, Queued: 6},
		"left":                                 {Status: Left},
		"absent":                               {Status: Absent},
	} {
		got, err := parseReply(onWire(strings.Split(text, " ")))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
		}
	}
}

func onWire(f []string) []any {
	v := make([]any, len(f))
	for i, s := range f {
		v[i] = s
	}
	return v
}

func TestErrorOfAnOperationIsAScriptError(t *testing.T) {
	_, err := parseReply([]any{"error", "OOM no memory"})
	if e, ok := errors.AsType[*ScriptError](err); !ok || e.Text != "OOM no memory" {
		t.Errorf("%v", err)
	}
}

func TestMalformedReplyIsAnError(t *testing.T) {
	for _, v := range []any{
		nil, "", 1, "granted", []any{}, []any{nil}, []any{int64(1)}, []any{[]any{"left"}},
		[]any{"granted"}, []any{"granted", "1", "2"}, []any{"granted", "1", "2", "3", "4"},
		[]any{"granted", "-1", "2", "3"}, []any{"granted", "1.5", "2", "3"}, []any{"granted", "1.76e+15", "2", "3"},
		[]any{"granted", int64(1), int64(2), int64(3)}, []any{"granted", nil, "2", "3"},
		[]any{"granted", "18446744073709551616", "2", "3"},
		[]any{"waiting", "1", "x", "1", "1", ""}, []any{"waiting", "1", "1", "1", "1"},
		[]any{"held"}, []any{"full", "1"}, []any{"lost", "x"}, []any{"renewed"}, []any{"left", ""}, []any{"absent", "x"},
		[]any{"error"}, []any{"Left"}, []any{"unknown"},
		[]any{"released", ""}, []any{"released", "granted"}, []any{"released", "lost"}, []any{"missing", "released"},
		[]any{"released", "error", "x"}, []any{"released", "held", "1", "1", ""},
	} {
		r, err := parseReply(v)
		if err == nil {
			t.Errorf("%v: %+v", v, r)
		}
		if !reflect.DeepEqual(r, Reply{}) {
			t.Errorf("%v: %+v beside an error", v, r)
		}
	}
}

func FuzzParseReply(f *testing.F) {
	for _, text := range []string{
		"granted 1 2 3", "waiting 1 2 3 4 x", "held 1 2 x", "full 1 2 x", "released", "missing lost", "renewed 1",
		"released released released", "error x", "absent", "", " ",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseReply(onWire(strings.Split(text, " ")))
		if _, own := errors.AsType[*ScriptError](err); err != nil && !own && !reflect.DeepEqual(r, Reply{}) {
			t.Errorf("%+v beside %v", r, err)
		}
		if err == nil && (r.Status < Granted || r.Status > Absent) {
			t.Errorf("status %d", r.Status)
		}
		if q := r.Requeued; q != nil && q.Status != Granted && q.Status != Waiting {
			t.Errorf("requeued: %+v", q)
		}
	})
}
