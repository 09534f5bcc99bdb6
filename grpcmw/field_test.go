package grpcmw_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/keys"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
	"github.com/latchkey-go/latchkey/grpcmw/internal/testpb"
)

type update = testpb.UpdateRequest

// keyOf returns the key of one call, and its denial.
func keyOf(t testing.TB, key grpcmw.Key, req any, opts ...grpcmw.Option) (string, error) {
	t.Helper()
	return keyIn(t.Context(), t, key, req, opts...)
}

func keyIn(ctx context.Context, t testing.TB, key grpcmw.Key, req any, opts ...grpcmw.Option) (string, error) {
	t.Helper()
	fake := locktest.New()
	var got string
	m := mustNew(t, fake, append(opts, grpcmw.For(unary, key))...)
	_, err := m.Unary()(ctx, req, &grpc.UnaryServerInfo{FullMethod: unary}, func(ctx context.Context, _ any) (any, error) {
		if lock, locked := core.FromContext(ctx); locked {
			got = lock.Key()
		}
		return nil, nil
	})
	return got, err
}

// fieldKey is the key that is one field.
func fieldKey(path string) grpcmw.Key {
	return grpcmw.KeyTemplate("k:{field." + strings.ReplaceAll(path, "|", "||") + "}")
}

func TestAFieldsValueIsThePartOfTheKey(t *testing.T) {
	for _, c := range []struct {
		path string
		req  *update
		want string
	}{
		{"text", &update{Text: "a:b"}, "a:b"},
		{"binary", &update{Binary: []byte{0, 0xab, 0xff}}, "00abff"},
		{"flag", &update{Flag: true}, "true"},
		{"int32", &update{Int32: -5}, "-5"},
		{"int64", &update{Int64: -1 << 63}, "-9223372036854775808"},
		{"uint32", &update{Uint32: 1<<32 - 1}, "4294967295"},
		{"uint64", &update{Uint64: 1<<64 - 1}, "18446744073709551615"},
		{"sfixed64", &update{Sfixed64: 12}, "12"},
		{"colour", &update{Colour: testpb.Colour_ROUGE}, "1"},
		{"colour", &update{Colour: 99}, "99"}, // of a newer client
		{"order.id", &update{Order: &testpb.Order{Id: "7"}}, "7"},
		{"inner.inner.order.number", &update{Inner: &update{Inner: &update{Order: &testpb.Order{Number: 3}}}}, "3"},
		{"at.seconds", &update{At: &timestamppb.Timestamp{Seconds: 5}}, "5"},

		{"maybe_text", &update{MaybeText: new("x")}, "x"},
		{"maybe_text", &update{MaybeText: new("")}, ""},
		{"maybe_int32", &update{MaybeInt32: new(int32(0))}, "0"},
		{"maybe_flag", &update{MaybeFlag: new(false)}, "false"},
		{"maybe_colour", &update{MaybeColour: new(testpb.Colour_COLOUR_UNSPECIFIED)}, "0"},
		{"maybe_binary", &update{MaybeBinary: []byte{}}, ""},
		{"text_value", &update{TextValue: wrapperspb.String("x")}, "x"},
		{"int64_value", &update{Int64Value: wrapperspb.Int64(0)}, "0"},

		{"labels.eu-west-1", &update{Labels: map[string]string{"eu-west-1": "x"}}, "x"},
		{"labels.`a.b``c`", &update{Labels: map[string]string{"a.b`c": "x"}}, "x"},
		{"labels.``", &update{Labels: map[string]string{"": "x"}}, "x"},
		{"labels.a", &update{Labels: map[string]string{"a": ""}}, ""},
		{"by_number.-7.id", &update{ByNumber: map[int64]*testpb.Order{-7: {Id: "x"}}}, "x"},
		{"by_flag.true", &update{ByFlag: map[bool]int32{true: 0}}, "0"},
		{"blobs.a", &update{Blobs: map[string][]byte{"a": {1}}}, "01"},

		{"user", &update{Owner: &testpb.UpdateRequest_User{User: "ada"}}, "ada"},
		{"group", &update{Owner: &testpb.UpdateRequest_Group{}}, "0"},
		{"other.id", &update{Target: &testpb.UpdateRequest_Other{Other: &testpb.Order{Id: "7"}}}, "7"},
		{"owner", &update{Owner: &testpb.UpdateRequest_User{User: "23=1"}}, "22=23=1"},
		{"owner", &update{Owner: &testpb.UpdateRequest_Group{Group: 1}}, "23=1"},
		{"inner.owner", &update{Inner: &update{Owner: &testpb.UpdateRequest_Group{}}}, "23=0"},
	} {
		got, err := keyOf(t, fieldKey(c.path), c.req)
		if want := keys.Join("k", c.want); got != want || err != nil {
			t.Errorf("%s = %q, %v, want %q", c.path, got, err, want)
		}
	}
}

func TestAFieldThatIsNotSetIsMissing(t *testing.T) {
	for _, c := range []struct {
		path string
		req  *update
	}{
		{"text", &update{}}, {"text", nil}, {"binary", &update{Binary: []byte{}}}, {"flag", &update{}}, {"int32", &update{}}, {"colour", &update{}},
		{"order.id", &update{}}, {"order.id", &update{Order: &testpb.Order{}}}, {"inner.inner.text", &update{Inner: &update{}}},
		{"maybe_text", &update{}}, {"maybe_int32", &update{}}, {"text_value", &update{}},
		{"labels.a", &update{}}, {"labels.a", &update{Labels: map[string]string{"b": "x"}}},
		{"by_number.1.id", &update{ByNumber: map[int64]*testpb.Order{1: {}}}}, {"by_number.1.id", &update{ByNumber: map[int64]*testpb.Order{1: nil}}},
		{"user", &update{Owner: &testpb.UpdateRequest_Group{Group: 1}}}, {"owner", &update{}}, {"inner.owner", &update{Inner: &update{}}},
		{"other.id", &update{Target: &testpb.UpdateRequest_Name{Name: "x"}}},
	} {
		_, err := keyOf(t, fieldKey(c.path), c.req)
		a := answerOf(t, err, nil)
		if a.code != codes.InvalidArgument || a.reason != core.ReasonKeyMissing || len(a.fields) != 1 || !strings.HasPrefix(a.fields[0], "field."+c.path+" ") {
			t.Errorf("%s of %v: %+v, %v", c.path, c.req, a, err)
		}
	}
}

func TestAPathThatIsMalformedIsRefusedByNew(t *testing.T) {
	for path, want := range map[string]string{
		"a..b": "nothing where a name should be", "a.": "nothing where a name should be", ".a": "nothing where a name should be",
		"a.`b": "without a closing one", "`": "without a closing one", "`a``": "without a closing one",
		"`a`b": "where a dot should be", "a b": "in backticks", "é": "in backticks", "a`b`": "in backticks",
		"items[0].id": "an element of a repeated field is not a key",
	} {
		_, err := grpcmw.New(locktest.New(), grpcmw.For(unary, fieldKey(path)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", path, err, want)
		}
	}
}

// Verify finds each, and New none: only the request's type tells.
func TestAPathThatLeadsToNoKeyIsRefusedByVerifyAndAtEachCall(t *testing.T) {
	srv := grpc.NewServer()
	testpb.RegisterOrdersServer(srv, testpb.UnimplementedOrdersServer{})
	for path, want := range map[string]string{
		"nr":                `message latchkey.test.v1.UpdateRequest has no field "nr"`,
		"order.nr":          `message latchkey.test.v1.Order has no field "nr"`,
		"order":             "is a message: the path must go on",
		"inner.order":       "is a message: the path must go on",
		"at":                "is a message: the path must go on",
		"text.length":       "is no message, and the path goes on",
		"labels.a.b":        "is no message, and the path goes on",
		"text_value.x":      `message google.protobuf.StringValue has no field "x"`,
		"items":             "is repeated",
		"items.0.id":        "is repeated",
		"tags.0":            "is repeated",
		"real":              "is a double",
		"labels":            "must go on with one of its keys",
		"by_number.one.id":  `has no key "one": its keys are of type int64`,
		"by_number.07.id":   `has no key "07"`,
		"by_number.+7.id":   "in backticks",
		"by_number.`+7`.id": `has no key "+7"`,
		"by_flag.True":      `has no key "True": its keys are of type bool`,
		"by_flag.1":         `has no key "1"`,
		"by_number.7":       "is a message: the path must go on",
		"_maybe_text":       `has no field "_maybe_text"`, // the oneof that proto3 optional makes
		"owner.user":        `has no field "owner"`,
		"target":            "oneof latchkey.test.v1.UpdateRequest.target: field latchkey.test.v1.UpdateRequest.other is a message",
	} {
		m, err := grpcmw.New(locktest.New(), grpcmw.FromProtoOptions(), grpcmw.For(testpb.Orders_Free_FullMethodName, fieldKey(path)))
		if err == nil {
			err = m.Verify(srv.GetServiceInfo())
			_, callErr := m.Unary()(t.Context(), &update{}, &grpc.UnaryServerInfo{FullMethod: testpb.Orders_Free_FullMethodName}, nil)
			wantAnswer(t, callErr, nil, codes.Internal, core.ReasonInternal, "")
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %s", path, err, want)
		}
	}
}

func TestAMessageOfATypeThatIsMadeAtRunTimeHasFieldsAsWell(t *testing.T) {
	file := protodesc.ToFileDescriptorProto((&update{}).ProtoReflect().Descriptor().ParentFile())
	made, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	b, err := proto.Marshal(&update{Order: &testpb.Order{Id: "7"}, Labels: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	m := dynamicpb.NewMessage(made.Messages().ByName("UpdateRequest"))
	if err := proto.Unmarshal(b, m); err != nil {
		t.Fatal(err)
	}
	if got, err := keyOf(t, grpcmw.KeyTemplate("k:{field.order.id}:{field.labels.a}"), m); got != "k:7:b" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// What proto3 calls missing is not all there is.
func TestAFieldsPresenceIsThatOfItsSyntax(t *testing.T) {
	const fields = `
		field: {name: "text" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL default_value: "d"}
		field: {name: "must" number: 2 type: TYPE_INT32 label: %s}
		field: {name: "kind" number: 3 type: TYPE_ENUM type_name: ".made.Kind" label: LABEL_OPTIONAL default_value: "B"}
		field: {name: "sub" number: 4 type: %s type_name: ".made.M.Sub" label: LABEL_OPTIONAL}
		field: {name: "plain" number: 5 type: TYPE_STRING label: LABEL_OPTIONAL %s}
		nested_type: {name: "Sub" field: {name: "id" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL}}`
	for name, c := range map[string]struct{ syntax, fields string }{
		"proto2": {`syntax: "proto2"`, fmt.Sprintf(fields, "LABEL_REQUIRED", "TYPE_GROUP", "")},
		"an edition": {`syntax: "editions" edition: EDITION_2023`,
			fmt.Sprintf(fields, "LABEL_OPTIONAL", "TYPE_MESSAGE", "options: {features: {field_presence: IMPLICIT}}")},
	} {
		var file descriptorpb.FileDescriptorProto
		if err := prototext.Unmarshal([]byte(c.syntax+` name: "made.proto" package: "made" message_type: {name: "M" `+c.fields+`}
			enum_type: {name: "Kind" value: {name: "A" number: 0} value: {name: "B" number: 1}}`), &file); err != nil {
			t.Fatal(err)
		}
		made, err := protodesc.NewFile(&file, nil)
		if err != nil {
			t.Fatal(err)
		}
		plain := "LOCK_KEY_MISSING"
		if name == "proto2" {
			plain = ""
		}
		for _, m := range []struct{ message, text, must, kind, id, plain string }{
			{"", "LOCK_KEY_MISSING", "LOCK_KEY_MISSING", "LOCK_KEY_MISSING", "LOCK_KEY_MISSING", "LOCK_KEY_MISSING"},
			{`text: "" must: 0 kind: A sub: {id: ""} plain: ""`, "", "0", "0", "", plain},
			{`text: "d" must: 1 kind: B sub: {id: "x"} plain: "y"`, "d", "1", "1", "x", "y"},
		} {
			req := dynamicpb.NewMessage(made.Messages().Get(0))
			text := m.message
			if name == "proto2" {
				text = strings.ReplaceAll(text, "sub:", "Sub")
			}
			if err := (prototext.UnmarshalOptions{AllowPartial: true}).Unmarshal([]byte(text), req); err != nil {
				t.Fatal(err)
			}
			for path, want := range map[string]string{"text": m.text, "must": m.must, "kind": m.kind, "sub.id": m.id, "plain": m.plain} {
				got, err := keyOf(t, fieldKey(path), req)
				got = strings.TrimPrefix(got, "k:")
				if got += string(answerOf(t, err, nil).reason); got != want {
					t.Errorf("%s, %s of {%s}: %q, want %q", name, path, m.message, got, want)
				}
			}
		}
	}
}

func TestWhatIsNoProtobufMessageHasNoFields(t *testing.T) {
	_, err := keyOf(t, grpcmw.KeyTemplate("order:{field.order.id}"), struct{}{})
	wantAnswer(t, err, nil, codes.Internal, core.ReasonInternal, "")
}
