package lockpb_test

import (
	"testing"

	"github.com/latchkey-go/latchkey/internal/protocheck"
)

func TestCommittedCodeIsWhatTheProtoFileGenerates(t *testing.T) { protocheck.Current(t, "lock.pb.go") }
