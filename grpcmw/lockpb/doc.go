// Package lockpb is the option (latchkey.v1.lock), by which a .proto file says
// what the calls of a method are locked on. grpcmw.FromProtoOptions puts it in
// force.
//
// This directory is the root to import it from:
//
//	import "latchkey/v1/lock.proto";
//
//	protoc -I. -I"$(go list -m -f '{{.Dir}}' github.com/latchkey-go/latchkey)/grpcmw/lockpb" …
//
// The option is the extension 61728 of google.protobuf.MethodOptions.
//
// Its code is generated: change latchkey/v1/lock.proto and run go generate,
// with protoc on the PATH.
package lockpb

//go:generate sh generate.sh .
