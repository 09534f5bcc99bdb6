package grpcmw_test

import (
	"encoding/hex"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/keys"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
	"github.com/latchkey-go/latchkey/grpcmw/internal/testpb"
)

// Any text is a path or an error of New, and any map key can be written as one.
func FuzzFieldPath(f *testing.F) {
	for _, path := range []string{"order.id", "inner.inner.text", "labels.`a.b`", "labels.a.b", "a..b", "`", "owner", "items[0].id", "by_number.-7.id", "é.\xff", "}{"} {
		f.Add(path)
	}
	req := &update{
		Order: &testpb.Order{Id: "7", Number: 7}, Text: "x", Inner: &update{Text: "y", Inner: &update{Colour: 1}},
		Labels: map[string]string{"a": "b"}, ByNumber: map[int64]*testpb.Order{-7: {Id: "z"}}, Owner: &testpb.UpdateRequest_Group{Group: 5},
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := grpcmw.New(locktest.New(), grpcmw.For(unary, fieldKey(text))); err == nil {
			got, err := keyOf(t, fieldKey(text), req)
			if reason := answerOf(t, err, nil).reason; (got == "") == (reason == "") || reason != "" && reason != core.ReasonInternal && reason != core.ReasonKeyMissing {
				t.Errorf("{field.%s} = %q, %s", text, got, reason)
			}
		}
		if _, err := keys.Parse("k{x." + strings.ReplaceAll(text, "|", "||") + "}x"); err != nil || strings.ContainsAny(text, "{}") {
			return // no template can hold it
		}
		req := proto.CloneOf(req)
		req.Labels[text] = "value"
		path := "labels.`" + strings.ReplaceAll(text, "`", "``") + "`"
		if got, err := keyOf(t, fieldKey(path), req); got != "k:value" || err != nil {
			t.Errorf("{field.%s} = %q, %v", path, got, err)
		}
	})
}

// Whatever a client sends, the key is that of the values in it, and of no others.
func FuzzMessagesWithHostileContent(f *testing.F) {
	for _, m := range []*update{
		{}, {Text: "a:b", Binary: []byte("%"), Int64: -1, MaybeInt32: new(int32(0)), Labels: map[string]string{"k": ""}, Owner: &testpb.UpdateRequest_User{User: "23=1"}, Order: &testpb.Order{Id: "%3A"}},
		{Text: "%:", Binary: []byte{0}, Int64: 1, MaybeInt32: new(int32(5)), Labels: map[string]string{"k": "\x00"}, Owner: &testpb.UpdateRequest_Group{Group: 1}, Order: &testpb.Order{Id: strings.Repeat("x", 300)}},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("\x0a\x02\x0a\x01\x0a\x02\x0a\x01")) // a message in two halves
	const template = "k:{field.text}:{field.binary}:{field.int64}:{field.maybe_int32}:{field.labels.k}:{field.owner}:{field.order.id}"
	f.Fuzz(func(t *testing.T, b []byte) {
		var m update
		if proto.Unmarshal(b, &m) != nil {
			t.Skip() // gRPC refuses it
		}
		label, labelled := m.GetLabels()["k"]
		owner := ""
		switch o := m.GetOwner().(type) {
		case *testpb.UpdateRequest_User:
			owner = "22=" + o.User
		case *testpb.UpdateRequest_Group:
			owner = "23=" + strconv.Itoa(int(o.Group))
		}
		there := m.GetText() != "" && len(m.GetBinary()) > 0 && m.GetInt64() != 0 && m.MaybeInt32 != nil && labelled && owner != "" && m.GetOrder().GetId() != ""
		got, err := keyOf(t, grpcmw.KeyTemplate(template), &m)
		want := keys.Join("k", m.GetText(), hex.EncodeToString(m.GetBinary()), strconv.FormatInt(m.GetInt64(), 10),
			strconv.Itoa(int(m.GetMaybeInt32())), label, owner, m.GetOrder().GetId())
		switch reason := answerOf(t, err, nil).reason; {
		case there && (got != want || err != nil):
			t.Errorf("key %q, %v, want %q", got, err, want)
		case !there && reason != core.ReasonKeyMissing:
			t.Errorf("key %q, %v, though a part is missing of %v", got, err, &m)
		}
	})
}
