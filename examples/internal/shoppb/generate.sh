#!/bin/sh
# Generates shop.pb.go and shop_grpc.pb.go into the directory given as $1, with
# the plugins pinned in tools/go.mod. go generate and the test that the
# committed code is current both run this, so that they cannot disagree.
# protoc itself is not pinned: any from 3.21 on makes the same code, save for
# its own version in a comment.
set -eu

out=$(cd "${1:?usage: generate.sh DIRECTORY}" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
module=github.com/latchkey-go/latchkey/examples/internal/shoppb
plugins=$(mktemp -d)
trap 'rm -rf "$plugins"' EXIT

(cd "$here/../../../tools" && GOWORK=off GOFLAGS=-mod=readonly go build -o "$plugins/" \
	google.golang.org/protobuf/cmd/protoc-gen-go \
	google.golang.org/grpc/cmd/protoc-gen-go-grpc)

# The virtual directory makes the file's name in protobuf's registry, which is
# global to a program, that of its package.
protoc --proto_path="latchkey/examples/shop/v1=$here" \
	--plugin="$plugins/protoc-gen-go" \
	--plugin="$plugins/protoc-gen-go-grpc" \
	--go_out="$out" --go_opt="module=$module" \
	--go-grpc_out="$out" --go-grpc_opt="module=$module" \
	latchkey/examples/shop/v1/shop.proto
