#!/bin/sh
# Generates the Go code of one .proto file, with the plugins pinned in go.mod:
#
#	protoc.sh DIRECTORY GO_PACKAGE FILE -I…
#
# go generate and the tests that committed code is current both run this, so that
# they cannot disagree. protoc itself is not pinned: any from 3.21 on makes the
# same code, save for its own version in a comment.
set -eu

out=$(cd "${1:?usage: protoc.sh DIRECTORY GO_PACKAGE FILE -I…}" && pwd)
module=$2
file=$3
shift 3
cd "$(dirname "$0")"
export GOWORK=off GOFLAGS=-mod=readonly
# Debian has protobuf's own files apart from protoc, in a package of C++ headers.
wellknown=$(mktemp)
trap 'rm -f "$wellknown"' EXIT
go run ./wellknown >"$wellknown"

protoc "$@" --descriptor_set_in="$wellknown" \
	--plugin=protoc-gen-go="$(go tool -n protoc-gen-go)" \
	--plugin=protoc-gen-go-grpc="$(go tool -n protoc-gen-go-grpc)" \
	--go_out="$out" --go_opt="module=$module" \
	--go-grpc_out="$out" --go-grpc_opt="module=$module" \
	"$file"
