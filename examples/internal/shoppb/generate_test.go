package shoppb_test

import (
	"testing"

	"github.com/latchkey-go/latchkey/internal/protocheck"
)

func TestCommittedCodeIsWhatTheProtoFileGenerates(t *testing.T) {
	protocheck.Current(t, "shop.pb.go", "shop_grpc.pb.go")
}
