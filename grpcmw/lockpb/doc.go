// Package lockpb is the option (latchkey.v1.lock), by which a .proto file says
// what the calls of a method are locked on. grpcmw.FromProtoOptions puts it in
// force.
//
// This directory is the root to import it from:
//
//	import "latchkey/v1/lock.proto";
//
//	protoc -I. -I"$(go list -f '{{.Dir}}' github.com/latchkey-go/latchkey/grpcmw/lockpb)" …
//
// protoc also needs google/protobuf/descriptor.proto, which releases of protoc bring
// along and Debian has in libprotobuf-dev. The line works with vendored modules, too:
// go mod vendor copies the .proto file with this package, which grpcmw imports, and so
// does the code that is generated for a file with the option.
//
// The option is the extension 61728 of google.protobuf.MethodOptions.
//
// Its code is generated: change latchkey/v1/lock.proto and run go generate,
// with protoc on the PATH.
package lockpb

import _ "embed"

//go:generate sh generate.sh .

// Of what is no Go file, go mod vendor copies what lies beside Go files, and what is
// embedded.
//
//go:embed latchkey/v1/lock.proto
var _ string
