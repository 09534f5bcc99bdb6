package grpcmw_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
	"github.com/latchkey-go/latchkey/grpcmw/internal/testpb"
	"github.com/latchkey-go/latchkey/httpmw"
)

// Methods that are locked by a field, by metadata, by a function and by their .proto
// file, an HTTP route, and a job.
func TestAllThatChangeOneOrderExcludeEachOther(t *testing.T) {
	fake := locktest.New()
	m := mustNew(t, fake, grpcmw.Wait(0), grpcmw.FromProtoOptions(),
		grpcmw.For(testpb.Orders_Free_FullMethodName, grpcmw.KeyTemplate("order:{field.order.id}")),
		grpcmw.For(testpb.Orders_Own_FullMethodName, grpcmw.MessageKey()),
		grpcmw.For(testpb.Orders_Shared_FullMethodName, grpcmw.KeyTemplate("order:{metadata.x-order|int}"), grpcmw.Name("shared")))
	client := serveOrders(t, m)
	httpLock, err := httpmw.New(fake, httpmw.Key("order:{query.order}"), httpmw.Wait(0))
	if err != nil {
		t.Fatal(err)
	}
	route := httpLock(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	taken := func() (free []string) {
		for name, call := range map[string]func(context.Context) error{
			"field":    func(ctx context.Context) error { _, err := client.Free(ctx, update7()); return err },
			"message":  func(ctx context.Context) error { _, err := client.Own(ctx, &testpb.Order{Id: "7"}); return err },
			"metadata": func(ctx context.Context) error { _, err := client.Shared(withOrder(ctx, "+07"), update7()); return err },
			"proto": func(ctx context.Context) error {
				_, err := ordersMethods[testpb.Orders_Upload_FullMethodName](withOrder(ctx, "7"), client)
				return err
			},
		} {
			if a := answerOf(t, call(timeout(t)), nil); a.reason != core.ReasonHeld {
				free = append(free, name)
			}
		}
		w := httptest.NewRecorder()
		if route.ServeHTTP(w, httptest.NewRequest(http.MethodPut, "/?order=7", nil)); w.Code != http.StatusConflict {
			free = append(free, "HTTP")
		}
		return free
	}
	release := fake.Hold("order:7")
	if free := taken(); len(free) > 0 {
		t.Errorf("under Hold, not held for %q", free)
	}
	release()
	if free := taken(); len(free) != 5 {
		t.Errorf("free for %q only", free)
	}
	guard, err := core.NewGuard(fake, core.Wait(0))
	if err != nil {
		t.Fatal(err)
	}
	err = guard.Run(t.Context(), "order:7", func(context.Context) error {
		if free := taken(); len(free) > 0 {
			t.Errorf("under a Guard, not held for %q", free)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestScopedForAllMethodsAtOnce(t *testing.T) {
	got := map[string]bool{}
	m := mustNew(t, spyLocker(func(key string, _ core.Settings) { got[key] = true }), grpcmw.Scoped(),
		grpcmw.For(unary, grpcmw.KeyTemplate("order:{metadata.x-order}")), grpcmw.For("/a.B/C", grpcmw.KeyTemplate("order:{metadata.x-order}"), grpcmw.Name("c")))
	for _, method := range []string{unary, "/a.B/C"} {
		_, _ = m.Unary()(metadata.NewIncomingContext(t.Context(), metadata.Pairs("x-order", "7")), nil, &grpc.UnaryServerInfo{FullMethod: method}, nil)
	}
	if len(got) != 2 || !got[unary+"%:order:7"] || !got["c%:order:7"] {
		t.Errorf("keys %v", got)
	}
}

func TestATemplateWithoutAResourceIsRefusedWithAProposal(t *testing.T) {
	for template, want := range map[string]string{
		"{field.id}":                     "write order:{field.id},",
		"{field.order_id|int}":           "write order:{field.order_id|int},",
		":{metadata.x-cart-id}":          "write cart:{metadata.x-cart-id},",
		"{context.tenant}:{field.id}":    "write order:{context.tenant}:{field.id},",
		"order:{field.id|hex}":           "there are int, uuid and lower",
		"order:{metadata.x-order|uuid4}": "there are int, uuid and lower",
	} {
		_, err := grpcmw.New(locktest.New(), grpcmw.For(unary, grpcmw.KeyTemplate(template)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", template, err)
		}
	}
}

func TestFormsMakeOneKeyOfAllThatMeanTheSame(t *testing.T) {
	const id = "123e4567-e89b-12d3-a456-426614174000"
	binary := []byte{0x12, 0x3e, 0x45, 0x67, 0xe8, 0x9b, 0x12, 0xd3, 0xa4, 0x56, 0x42, 0x66, 0x14, 0x17, 0x40, 0}
	for _, c := range []struct {
		template string
		req      *update
		meta     string
		want     string
	}{
		{"k:{field.text|int}", &update{Text: "042"}, "", "k:42"},
		{"k:{field.text|int}", &update{Text: "forty"}, "", "LOCK_KEY_INVALID field.text does not have the form int"},
		{"k:{field.int64|int}", &update{Int64: -42}, "", "k:-42"},
		{"k:{field.maybe_text|uuid}", &update{MaybeText: new("")}, "", "LOCK_KEY_INVALID field.maybe_text does not have the form uuid"},
		{"k:{field.order.id|uuid}", &update{Order: &testpb.Order{Id: "{" + strings.ToUpper(id) + "}"}}, "", "k:" + id},
		{"k:{field.binary|uuid}", &update{Binary: binary}, "", "k:" + id},
		{"k:{field.labels.a|lower}", &update{Labels: map[string]string{"a": "ABC"}}, "", "k:abc"},
		{"k:{metadata.x-order|int}", nil, "+7", "k:7"},
		{"k:{metadata.x-order|int}", nil, "9223372036854775808", "LOCK_KEY_INVALID metadata.x-order does not have the form int"},
		{"k:{metadata.x-order|int}", nil, "", "LOCK_KEY_MISSING metadata.x-order is missing or empty"},
	} {
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("x-order", c.meta))
		got, err := keyIn(ctx, t, grpcmw.KeyTemplate(c.template), c.req)
		if a := answerOf(t, err, nil); err != nil {
			got = string(a.reason) + " " + strings.Join(a.fields, " ")
		}
		if got != c.want {
			t.Errorf("%s of %v %q = %q, want %q", c.template, c.req, c.meta, got, c.want)
		}
	}
}

// Of which no request can have a value of the form.
func TestVerifyReportsAFormThatAFieldNeverHas(t *testing.T) {
	srv := grpc.NewServer()
	testpb.RegisterOrdersServer(srv, testpb.UnimplementedOrdersServer{})
	for path, right := range map[string]bool{
		"flag|int": false, "flag|lower": true, "int32|uuid": false, "int32|int": true, "colour|int": true, "colour|uuid": false, "uint64|int": false,
		"uint32|int": true, "binary|int": false, "binary|uuid": true, "owner|int": false, "owner|lower": true, "text|int": true,
		"by_flag.true|uuid": false, "by_number.7.id|uuid": true, "int64_value|uuid": false, "text_value|uuid": true,
	} {
		m := mustNew(t, locktest.New(), grpcmw.FromProtoOptions(), grpcmw.For(testpb.Orders_Free_FullMethodName, grpcmw.KeyTemplate("k:{field."+path+"}")))
		if err := m.Verify(srv.GetServiceInfo()); (err == nil) != right {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Without Verify a call of a method whose key cannot be is denied, and the log says so
// once.
func TestAKeyThatNoCallHasIsTheProgramsFault(t *testing.T) {
	var text strings.Builder
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&text, nil)))
	defer slog.SetDefault(before)
	for name, opt := range map[string]grpcmw.Option{
		"no such field":       grpcmw.For(testpb.Orders_Free_FullMethodName, grpcmw.KeyTemplate("order:{field.order.nr}"), grpcmw.OnMissing(grpcmw.Skip)),
		"another type":        grpcmw.For(testpb.Orders_Free_FullMethodName, grpcmw.KeyOf((*testpb.Order).GetId)),
		"of all methods":      grpcmw.ForAll(grpcmw.KeyTemplate("order:{field.nr}")),
		"a form it never has": grpcmw.For(testpb.Orders_Free_FullMethodName, grpcmw.KeyTemplate("order:{field.flag|int}")),
	} {
		text.Reset()
		m := mustNew(t, locktest.New(), opt)
		for range 3 {
			_, err := m.Unary()(t.Context(), update7(), &grpc.UnaryServerInfo{FullMethod: testpb.Orders_Free_FullMethodName}, nil)
			wantAnswer(t, err, nil, codes.Internal, core.ReasonInternal, "")
		}
		if got := text.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, testpb.Orders_Free_FullMethodName) {
			t.Errorf("%s: %s", name, got)
		}
	}
}
