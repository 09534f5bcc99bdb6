package testpb_test

import (
	"testing"

	"github.com/latchkey-go/latchkey/internal/protocheck"
)

func TestCommittedCodeIsWhatTheProtoFileGenerates(t *testing.T) {
	protocheck.Current(t, "orders.pb.go", "orders_grpc.pb.go")
}
