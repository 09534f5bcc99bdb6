#!/bin/sh
# Generates lock.pb.go into the directory given as $1.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec sh "$here/../../tools/protoc.sh" "$1" github.com/latchkey-go/latchkey/grpcmw/lockpb \
	latchkey/v1/lock.proto -I"$here"
