// Package testpb is what the tests of grpcmw serve: methods that declare their
// locks, and some that do so wrongly.
//
// Its code is generated: change orders.proto and run go generate, with protoc
// on the PATH.
package testpb

//go:generate sh generate.sh .
