#!/bin/sh
# Generates orders.pb.go and orders_grpc.pb.go into the directory given as $1.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec sh "$here/../../../tools/protoc.sh" "$1" github.com/latchkey-go/latchkey/grpcmw/internal/testpb \
	latchkey/test/v1/orders.proto -I"latchkey/test/v1=$here" -I"$here/../../lockpb"
