package grpcmw_test

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/keys"
	"github.com/latchkey-go/latchkey/grpcmw"
	"github.com/latchkey-go/latchkey/grpcmw/internal/testpb"
)

func TestAPartThatIsMissingMayHaveAFallback(t *testing.T) {
	tenant := grpcmw.FallbackFunc(func(ctx context.Context) string {
		md, _ := metadata.FromIncomingContext(ctx)
		return md["tenant"][0]
	})
	none := grpcmw.FallbackFunc(func(context.Context) string { return "" })
	twoParts := grpcmw.KeyTemplate("k:{metadata.x-order}:{field.order.id}")
	failing := grpcmw.KeyFunc(func(context.Context, any) (string, error) { return "", errors.New("a fault") })
	for name, c := range map[string]struct {
		key    grpcmw.Key
		policy []grpcmw.MissingPolicy
		order  []string // metadata
		want   string
	}{
		"a text for each part":        {twoParts, []grpcmw.MissingPolicy{grpcmw.Fallback("a:b")}, nil, keys.Join("k", "a:b", "a:b")},
		"a text for the one":          {twoParts, []grpcmw.MissingPolicy{grpcmw.Fallback("any")}, []string{"7"}, keys.Join("k", "7", "any")},
		"a text of the call":          {twoParts, []grpcmw.MissingPolicy{tenant}, []string{"7"}, keys.Join("k", "7", "acme")},
		"an empty text":               {twoParts, []grpcmw.MissingPolicy{none}, nil, "LOCK_KEY_MISSING"},
		"of a function":               {grpcmw.KeyOf(func(*update) string { return "" }), []grpcmw.MissingPolicy{tenant}, nil, "acme"},
		"of a function, an empty one": {grpcmw.KeyOf(func(*update) string { return "" }), []grpcmw.MissingPolicy{none}, nil, "LOCK_KEY_MISSING"},
		"of a message without a key":  {grpcmw.MessageKey(), []grpcmw.MissingPolicy{grpcmw.Fallback("any")}, nil, "any"},
		"not missing but ambiguous":   {twoParts, []grpcmw.MissingPolicy{grpcmw.Fallback("any")}, []string{"7", "8"}, "LOCK_KEY_INVALID"},
		"not missing but a fault":     {failing, []grpcmw.MissingPolicy{grpcmw.Fallback("any")}, nil, "LOCK_KEY_INVALID"},
		"the last policy rules":       {twoParts, []grpcmw.MissingPolicy{grpcmw.Fallback("any"), grpcmw.Skip}, nil, ""},
		"the last one, reversed":      {twoParts, []grpcmw.MissingPolicy{grpcmw.Skip, grpcmw.Fallback("any")}, nil, keys.Join("k", "any", "any")},
		"the last one, rejected":      {twoParts, []grpcmw.MissingPolicy{grpcmw.Fallback("any"), grpcmw.Reject}, nil, "LOCK_KEY_MISSING"},
		"not of the form, of itself":  {grpcmw.KeyTemplate("k:{metadata.x-order|int}"), []grpcmw.MissingPolicy{grpcmw.Fallback("ANY")}, nil, "k:ANY"},
		"not missing, another form":   {grpcmw.KeyTemplate("k:{metadata.x-order|int}"), []grpcmw.MissingPolicy{grpcmw.Fallback("ANY")}, []string{"a"}, "LOCK_KEY_INVALID"},
	} {
		var opts []grpcmw.Option
		for _, p := range c.policy {
			opts = append(opts, grpcmw.OnMissing(p))
		}
		ctx := metadata.NewIncomingContext(t.Context(), metadata.MD{"x-order": c.order, "tenant": {"acme"}})
		got, err := keyIn(ctx, t, c.key, &update{}, opts...)
		if got += string(answerOf(t, err, nil).reason); got != c.want {
			t.Errorf("%s: %q, want %q (%v)", name, got, c.want, err)
		}
	}
}

func TestAProtoFileMayHaveAFallback(t *testing.T) {
	var got string
	client := serveOrders(t, mustNew(t, spyLocker(func(key string, _ core.Settings) { got = key }), grpcmw.FromProtoOptions()))
	_, err := client.Shared(timeout(t), &testpb.UpdateRequest{Order: &testpb.Order{Id: "7"}})
	if a := answerOf(t, err, nil); a.reason != core.ReasonHeld || got != keys.Join("order", "7", "any") {
		t.Errorf("key %q, %v", got, err)
	}
}
