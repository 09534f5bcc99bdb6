package grpcmw

import (
	"testing"

	"github.com/latchkey-go/latchkey/grpcmw/internal/testpb"
)

// BenchmarkFieldValues measures how the values for a key are found in a request: by
// a function of the user's, and by paths.
func BenchmarkFieldValues(b *testing.B) {
	req := any(&testpb.UpdateRequest{
		Order: &testpb.Order{Id: "0190f5a2-7d8e", Number: 42}, Text: "acme", Inner: &testpb.UpdateRequest{Order: &testpb.Order{Id: "7"}},
		Labels: map[string]string{"region": "eu"}, Owner: &testpb.UpdateRequest_User{User: "ada"},
	})
	for _, c := range []struct {
		name string
		key  Key
	}{
		{"baseline=function", KeyOf(func(r *testpb.UpdateRequest) string { return r.GetOrder().GetId() })},
		{"nested", KeyTemplate("order:{field.order.id}")},
		{"number", KeyTemplate("order:{field.order.number}")},
		{"three deep", KeyTemplate("order:{field.inner.order.id}")},
		{"map", KeyTemplate("order:{field.labels.region}")},
		{"oneof", KeyTemplate("order:{field.owner}")},
		{"two fields", KeyTemplate("order:{field.text}:{field.order.id}")},
	} {
		b.Run(c.name, func(b *testing.B) {
			key, err := c.key.compile(new(options))
			if err != nil {
				b.Fatal(err)
			}
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := key.of(ctx, req, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
