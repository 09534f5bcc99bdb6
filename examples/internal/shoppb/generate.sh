#!/bin/sh
# Generates shop.pb.go and shop_grpc.pb.go into the directory given as $1.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# The virtual directory makes the file's name in protobuf's registry, which is
# global to a program, that of its package.
exec sh "$here/../../../tools/protoc.sh" "$1" github.com/latchkey-go/latchkey/examples/internal/shoppb \
	latchkey/examples/shop/v1/shop.proto -I"latchkey/examples/shop/v1=$here" -I"$here/../../../grpcmw/lockpb"
