// Package shoppb is the gRPC interface of the shop that the examples sell from.
//
// Its code is generated: change shop.proto and run go generate, with protoc on
// the PATH.
package shoppb

//go:generate sh generate.sh .
