package testpb

import "github.com/latchkey-go/latchkey/core/keys"

// LockKey is beside the generated code, as a user would write it.
func (x *Order) LockKey() string {
	if x.GetId() == "" {
		return ""
	}
	return keys.Join("order", x.GetId())
}
