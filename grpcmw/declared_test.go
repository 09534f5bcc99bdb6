package grpcmw_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
	"github.com/latchkey-go/latchkey/grpcmw/internal/testpb"
)

// orders answers with the fencing token of its lock, zero without one.
type orders struct {
	testpb.UnimplementedOrdersServer
	testpb.UnimplementedFaultyServer
}

func reply(ctx context.Context) *testpb.Reply {
	lock, locked := core.FromContext(ctx)
	if !locked {
		return &testpb.Reply{}
	}
	return &testpb.Reply{Token: lock.Token()}
}

func (orders) Update(ctx context.Context, _ *update) (*testpb.Reply, error) { return reply(ctx), nil }
func (orders) Free(ctx context.Context, _ *update) (*testpb.Reply, error)   { return reply(ctx), nil }

func (orders) Watch(_ *update, s grpc.ServerStreamingServer[testpb.Reply]) error {
	return s.Send(reply(s.Context()))
}

func (orders) Upload(s grpc.ClientStreamingServer[update, testpb.Reply]) error {
	return s.SendAndClose(reply(s.Context()))
}

func (orders) Chat(s grpc.BidiStreamingServer[update, testpb.Reply]) error {
	return s.Send(reply(s.Context()))
}

func serveOrders(t *testing.T, m *grpcmw.Middleware, opts ...grpc.DialOption) testpb.OrdersClient {
	t.Helper()
	return testpb.NewOrdersClient(serveAny(t, m.ServerOptions(), func(s *grpc.Server) {
		testpb.RegisterOrdersServer(s, orders{})
		if err := m.Verify(s.GetServiceInfo()); err != nil {
			t.Error(err)
		}
	}, opts...))
}

func update7() *update { return &update{Order: &testpb.Order{Id: "7"}} }

// ordersMethods calls each method of Orders.
var ordersMethods = map[string]func(context.Context, testpb.OrdersClient) (*testpb.Reply, error){
	testpb.Orders_Update_FullMethodName: func(ctx context.Context, c testpb.OrdersClient) (*testpb.Reply, error) {
		return c.Update(ctx, update7())
	},
	testpb.Orders_Watch_FullMethodName: func(ctx context.Context, c testpb.OrdersClient) (*testpb.Reply, error) {
		s, err := c.Watch(ctx, update7())
		if err != nil {
			return nil, err
		}
		return s.Recv()
	},
	testpb.Orders_Upload_FullMethodName: func(ctx context.Context, c testpb.OrdersClient) (*testpb.Reply, error) {
		s, err := c.Upload(ctx)
		if err != nil {
			return nil, err
		}
		return s.CloseAndRecv()
	},
	testpb.Orders_Chat_FullMethodName: func(ctx context.Context, c testpb.OrdersClient) (*testpb.Reply, error) {
		s, err := c.Chat(ctx)
		if err != nil {
			return nil, err
		}
		return s.Recv()
	},
	testpb.Orders_Free_FullMethodName: func(ctx context.Context, c testpb.OrdersClient) (*testpb.Reply, error) {
		return c.Free(ctx, update7())
	},
}

// lockedBy returns which methods of Orders ran under a lock.
func lockedBy(t *testing.T, opts ...grpcmw.Option) map[string]bool {
	t.Helper()
	locked := map[string]bool{}
	client := serveOrders(t, mustNew(t, locktest.New(), opts...))
	for name, call := range ordersMethods {
		r, err := call(withOrder(timeout(t), "7"), client)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		locked[name] = r.GetToken() != 0
	}
	return locked
}

func TestAMethodIsLockedAsItsProtoFileSays(t *testing.T) {
	for name, c := range map[string]struct {
		key  string
		want core.Settings
	}{
		testpb.Orders_Update_FullMethodName: {"order:7", core.Settings{
			TTL: 700 * time.Millisecond, Wait: 2 * time.Second, MaxWaiters: 3, MaxHold: time.Minute, Name: testpb.Orders_Update_FullMethodName}},
		testpb.Orders_Watch_FullMethodName: {"orders%:order:7", core.Settings{TTL: 10 * time.Second, Name: "orders"}},
		testpb.Orders_Upload_FullMethodName: {"order:7", core.Settings{
			TTL: 10 * time.Second, Wait: 9 * time.Second, MaxWaiters: 100, MaxHold: 5 * time.Minute, Name: testpb.Orders_Upload_FullMethodName}},
	} {
		var settings core.Settings
		var key string
		spy := spyLocker(func(k string, s core.Settings) { key, settings = k, s })
		// Of the options for all, the method's own have precedence.
		client := serveOrders(t, mustNew(t, spy, grpcmw.Wait(9*time.Second), grpcmw.FromProtoOptions()))
		var trailer metadata.MD
		_, err := ordersMethods[name](withOrder(timeout(t), "7"), client)
		if a := answerOf(t, err, trailer); a.code != codes.Aborted || a.reason != core.ReasonHeld {
			t.Errorf("%s: %v", name, err)
		}
		settings.Meta = core.Meta{}
		if key != c.key || settings != c.want {
			t.Errorf("%s: key %q, %+v", name, key, settings)
		}
	}
}

func TestAMethodMaySkipMissingKeysInItsProtoFile(t *testing.T) {
	client := serveOrders(t, mustNew(t, locktest.New(), grpcmw.FromProtoOptions()))
	chat := ordersMethods[testpb.Orders_Chat_FullMethodName]
	if r, err := chat(timeout(t), client); r.GetToken() != 0 || err != nil {
		t.Errorf("without: %v, %v", r, err)
	}
	if r, err := chat(withOrder(timeout(t), "7"), client); r.GetToken() == 0 || err != nil {
		t.Errorf("with: %v, %v", r, err)
	}
}

func TestForGoesBeforeTheProtoFile(t *testing.T) {
	var key string
	m := mustNew(t, spyLocker(func(k string, _ core.Settings) { key = k }), grpcmw.FromProtoOptions(),
		grpcmw.For(testpb.Orders_Update_FullMethodName, grpcmw.KeyTemplate("order:{metadata.x-order}")))
	_, _ = m.Unary()(metadata.NewIncomingContext(t.Context(), metadata.Pairs("x-order", "9")), update7(),
		&grpc.UnaryServerInfo{FullMethod: testpb.Orders_Update_FullMethodName}, nil)
	if key != "order:9" {
		t.Errorf("key %q", key)
	}
}

// golden is what Verify says of a server whose .proto and code have every fault.
const golden = `core: invalid option: grpcmw: method "/grpc.testing.TestService/UnaryCal" is not registered
core: invalid option: grpcmw: method "/latchkey.test.v1.Faulty/Both" has bad options: core: invalid option: Wait -2s is not between 0 and 24h0m0s
core: invalid option: grpcmw: method "/latchkey.test.v1.Faulty/Both" has a bad key: keys: template "order:{field.order.nr}", offset 6: message latchkey.test.v1.Order has no field "nr"
core: invalid option: grpcmw: method "/latchkey.test.v1.Faulty/NoField" has a bad key: keys: template "order:{field.order.nr}:{field.items.0.id}", offset 6: message latchkey.test.v1.Order has no field "nr"
core: invalid option: grpcmw: method "/latchkey.test.v1.Faulty/NoField" has a bad key: keys: template "order:{field.order.nr}:{field.items.0.id}", offset 23: field latchkey.test.v1.UpdateRequest.items is repeated: the place of an element says nothing, so it is no key; use KeyOf
core: invalid option: grpcmw: method "/latchkey.test.v1.Faulty/NoKey" has a bad key: keys: template "", offset 0: template is empty
core: invalid option: grpcmw: method "/latchkey.test.v1.Faulty/NoStream" is a client stream, and its key ("order:{field.order.id}") needs a request message: use metadata
core: invalid option: grpcmw: method "/latchkey.test.v1.Faulty/Range" has a bad key: keys: template "order:{cookie.x}", offset 6: unknown source "cookie": there are field, metadata, peer and context
core: invalid option: grpcmw: method "/latchkey.test.v1.Faulty/Range" has bad options: core: invalid option: grpcmw: max_hold is no valid duration: DURATION
core: invalid option: grpcmw: method "/latchkey.test.v1.Faulty/Range" has bad options: core: invalid option: grpcmw: fallback and on_missing: give one of both
core: invalid option: grpcmw: method "/latchkey.test.v1.Faulty/Range" has bad options: core: invalid option: TTL 1ns is not between 10ms and 24h0m0s
core: invalid option: grpcmw: method "/latchkey.test.v1.Faulty/Range" has bad options: core: invalid option: Wait -1s is not between 0 and 24h0m0s
core: invalid option: grpcmw: method "/latchkey.test.v1.Orders/Chat" is a bidi stream, and its key ("order:{field.order.id}") needs a request message: use metadata
core: invalid option: grpcmw: method "/latchkey.test.v1.Orders/Free" has requests of type *testpb.UpdateRequest, without a method LockKey
core: invalid option: grpcmw: method "/latchkey.test.v1.Orders/Watch" has requests of type latchkey.test.v1.UpdateRequest, and its key is a function of *testpb.Order
core: invalid option: grpcmw: Only or Except: "no.Such" is not registered`

func TestVerifyListsTheFaultsOfProtoFilesAndCodeInOneError(t *testing.T) {
	m := mustNew(t, locktest.New(), grpcmw.FromProtoOptions(),
		grpcmw.For(testpb.Orders_Chat_FullMethodName, grpcmw.KeyTemplate("order:{field.order.id}")),
		grpcmw.For(testpb.Orders_Free_FullMethodName, grpcmw.MessageKey()),
		grpcmw.For(testpb.Orders_Watch_FullMethodName, grpcmw.KeyOf((*testpb.Order).GetId)),
		grpcmw.For("/grpc.testing.TestService/UnaryCal", grpcmw.KeyTemplate("order:{metadata.x-order}")),
		grpcmw.Except("no.Such"))
	srv := grpc.NewServer()
	testpb.RegisterOrdersServer(srv, orders{})
	testpb.RegisterFaultyServer(srv, orders{})
	err := m.Verify(srv.GetServiceInfo())
	if !errors.Is(err, core.ErrOption) {
		t.Fatalf("got %v", err)
	}
	if got := durationText.ReplaceAllString(err.Error(), "duration: DURATION"); got != golden {
		t.Errorf("got\n%s\nwant\n%s", got, golden)
	}
	// Without Verify, nothing runs unlocked for it.
	for _, method := range []string{testpb.Faulty_NoField_FullMethodName, testpb.Faulty_NoKey_FullMethodName, testpb.Faulty_Range_FullMethodName} {
		_, err := m.Unary()(t.Context(), update7(), &grpc.UnaryServerInfo{FullMethod: method}, nil)
		wantAnswer(t, err, nil, codes.Internal, core.ReasonInternal, "")
	}
}

// durationText is what protobuf says of a duration, on purpose in varying words.
var durationText = regexp.MustCompile(`duration: .*`)

func TestAnotherServersFaultsAreNotThisOnes(t *testing.T) {
	serveOrders(t, mustNew(t, locktest.New(), grpcmw.FromProtoOptions())) // Faulty is not registered
}

func TestVerifyReportsALockThatIsDeclaredAndNotInForce(t *testing.T) {
	srv := grpc.NewServer()
	testpb.RegisterOrdersServer(srv, orders{})
	for _, opts := range [][]grpcmw.Option{nil, {grpcmw.ForAll(grpcmw.KeyTemplate("order:{metadata.x-order}"))}} {
		err := mustNew(t, locktest.New(), opts...).Verify(srv.GetServiceInfo())
		if err == nil || strings.Count(err.Error(), "FromProtoOptions is not given") != 5 {
			t.Errorf("%d options: %v", len(opts), err)
		}
	}
	if err := mustNew(t, locktest.New(), grpcmw.Except("latchkey.test.v1.Orders")).Verify(srv.GetServiceInfo()); err != nil {
		t.Errorf("excepted: %v", err)
	}
}
