package grpcmw

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/latchkey-go/latchkey/grpcmw/lockpb"
)

// methodWith returns a method of a service whose descriptor is made at run time.
func methodWith(t *testing.T, opts *descriptorpb.MethodOptions) protoreflect.MethodDescriptor {
	t.Helper()
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("made.proto"), Package: new("made"), Syntax: new("proto3"), Dependency: []string{"google/protobuf/descriptor.proto"},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: new("S"), Method: []*descriptorpb.MethodDescriptorProto{{
			Name: new("M"), InputType: new(".google.protobuf.MethodOptions"), OutputType: new(".google.protobuf.MethodOptions"), Options: opts,
		}}}},
	}, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	return file.Services().Get(0).Methods().Get(0)
}

// ownExtension is the extension of that name and number, as a program has it that
// reads .proto files at run time.
func ownExtension(t *testing.T, file *descriptorpb.FileDescriptorProto) protoreflect.ExtensionType {
	t.Helper()
	made, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	return dynamicpb.NewExtensionType(made.Extensions().Get(0))
}

func TestALockIsFoundHoweverItsOptionWasRead(t *testing.T) {
	const number = 61728
	declared := &lockpb.Lock{Key: "order:{field.order.id}", OnMissing: lockpb.Lock_SKIP}
	b, err := proto.Marshal(declared)
	if err != nil {
		t.Fatal(err)
	}
	field := func(number protowire.Number, b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), b)
	}
	lockFile := protodesc.ToFileDescriptorProto(lockpb.File_latchkey_v1_lock_proto)
	foreign := proto.CloneOf(lockFile)
	foreign.Package = new("foreign")
	foreign.MessageType, foreign.Dependency = nil, foreign.Dependency[:1]
	foreign.Extension[0].Type, foreign.Extension[0].TypeName = descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(), nil
	unreadable := field(number, []byte{0xff})

	for name, c := range map[string]struct {
		set  func(*descriptorpb.MethodOptions)
		want *lockpb.Lock
	}{
		"none":           {func(*descriptorpb.MethodOptions) {}, nil},
		"generated code": {func(o *descriptorpb.MethodOptions) { proto.SetExtension(o, lockpb.E_Lock, declared) }, declared},
		"not known when it was read": {func(o *descriptorpb.MethodOptions) {
			o.ProtoReflect().SetUnknown(append(field(50001, nil), field(number, b)...))
		}, declared},
		"read at run time": {func(o *descriptorpb.MethodOptions) {
			own := ownExtension(t, lockFile)
			m := own.New()
			if err := proto.Unmarshal(b, m.Message().Interface()); err != nil {
				t.Fatal(err)
			}
			o.ProtoReflect().Set(own.TypeDescriptor(), m)
		}, declared},
		"somebody else's option of the same number": {func(o *descriptorpb.MethodOptions) {
			o.ProtoReflect().Set(ownExtension(t, foreign).TypeDescriptor(), protoreflect.ValueOfString("x"))
		}, nil},
		"a number of another kind": {func(o *descriptorpb.MethodOptions) {
			o.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), 1))
		}, nil},
		// Such a lock has no key: Verify says so, and calls are denied.
		"not readable": {func(o *descriptorpb.MethodOptions) { o.ProtoReflect().SetUnknown(unreadable) }, &lockpb.Lock{}},
	} {
		var opts descriptorpb.MethodOptions
		c.set(&opts)
		if got := lockOf(methodWith(t, &opts)); !proto.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
