package grpcmw_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
	"github.com/latchkey-go/latchkey/grpcmw/internal/testpb"
)

func TestOnlyAndExceptChooseAmongTheMethodsThatForDoesNotName(t *testing.T) {
	const service = "latchkey.test.v1.Orders"
	all := grpcmw.ForAll(grpcmw.KeyTemplate("order:{metadata.x-order}"))
	declared := grpcmw.FromProtoOptions()
	for _, c := range []struct {
		name string
		opts []grpcmw.Option
		want string
	}{
		{"nothing", []grpcmw.Option{grpcmw.Except(service)}, ""},
		{"declared", []grpcmw.Option{declared}, "Chat Update Upload Watch"},
		{"declared, except one", []grpcmw.Option{declared, grpcmw.Except(testpb.Orders_Chat_FullMethodName)}, "Update Upload Watch"},
		{"declared, only two", []grpcmw.Option{declared, grpcmw.Only(testpb.Orders_Chat_FullMethodName), grpcmw.Only(testpb.Orders_Watch_FullMethodName)}, "Chat Watch"},
		{"all", []grpcmw.Option{all, declared}, "Chat Free Update Upload Watch"},
		{"only the service, except one", []grpcmw.Option{all, declared, grpcmw.Only(service), grpcmw.Except(testpb.Orders_Free_FullMethodName)}, "Chat Update Upload Watch"},
		{"by For, whatever Only says", []grpcmw.Option{declared, grpcmw.For(testpb.Orders_Free_FullMethodName, grpcmw.KeyTemplate("order:{field.order.id}")), grpcmw.Only(testpb.Orders_Chat_FullMethodName)}, "Chat Free"},
	} {
		var locked []string
		for name, yes := range lockedBy(t, c.opts...) {
			if yes {
				locked = append(locked, name[strings.LastIndexByte(name, '/')+1:])
			}
		}
		slices.Sort(locked)
		if got := strings.Join(locked, " "); got != c.want {
			t.Errorf("%s: locked %q, want %q", c.name, got, c.want)
		}
	}
}

func TestTheKeysAndNamesOfForAll(t *testing.T) {
	var got []string
	spy := spyLocker(func(key string, s core.Settings) { got = append(got, key+" as "+s.Name) })
	call := func(opts ...grpcmw.MethodOption) {
		m := mustNew(t, spy, grpcmw.ForAll(grpcmw.KeyTemplate("order:{field.order.id}"), opts...))
		for _, method := range []string{"/a.B/C", "/a.B/D"} {
			_, _ = m.Unary()(t.Context(), update7(), &grpc.UnaryServerInfo{FullMethod: method}, nil)
		}
	}
	call()
	call(grpcmw.Scoped())
	call(grpcmw.Name("one"))
	call(grpcmw.Name("one"), grpcmw.Scoped())
	want := []string{
		"order:7 as /a.B/C", "order:7 as /a.B/D", "/a.B/C%:order:7 as /a.B/C", "/a.B/D%:order:7 as /a.B/D",
		"order:7 as one", "order:7 as one", "one%:order:7 as one", "one%:order:7 as one",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestHealthChecksAndReflectionAreLeftAloneUnlessNamed(t *testing.T) {
	key := grpcmw.KeyFunc(func(context.Context, any) (string, error) { return "x", nil })
	locked := func(method string, opts ...grpcmw.Option) (locked bool) {
		fake := locktest.New()
		m := mustNew(t, fake, append(opts, grpcmw.ForAll(key))...)
		_, err := m.Unary()(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: method}, func(ctx context.Context, _ any) (any, error) {
			_, locked = core.FromContext(ctx)
			return nil, nil
		})
		if err != nil {
			t.Error(err)
		}
		return locked
	}
	for method, want := range map[string]bool{
		healthpb.Health_Check_FullMethodName:                                      false,
		healthpb.Health_Watch_FullMethodName:                                      false,
		reflectionpb.ServerReflection_ServerReflectionInfo_FullMethodName:         false,
		"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo":          false,
		"/grpc.channelz.v1.Channelz/GetServers":                                   false,
		testpb.Orders_Free_FullMethodName:                                         true,
		"/grpc.health.v2.Health/Probe":                                            false,
		"/grpc.admin.v1.Admin/Drain":                                              false,
		"/grpc.lookup.v1.RouteLookupService/RouteLookup":                          false,
		"/envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus": false,
		"/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics":                   false,
		"/grpc.healthy.v1.Health/Check":                                           true,
		"/grpc.orders.v1.Orders/Update":                                           true,
		"/envoy.service.shop.v1.Orders/Update":                                    true,
	} {
		if got := locked(method); got != want {
			t.Errorf("%s: locked %v", method, got)
		}
	}
	if !locked(healthpb.Health_Check_FullMethodName, grpcmw.Only("grpc.health.v1.Health")) {
		t.Error("Only has named it")
	}
	if !locked(healthpb.Health_Check_FullMethodName, grpcmw.For(healthpb.Health_Check_FullMethodName, key)) {
		t.Error("For has named it")
	}
}

func TestNewRefusesASelectionThatContradictsItself(t *testing.T) {
	for want, opts := range map[string][]grpcmw.Option{
		"Only selects from ForAll and FromProtoOptions":    {grpcmw.Only("a.B")},
		`"/a.B" is neither a service nor of the form`:      {grpcmw.Except("/a.B")},
		`"" is neither a service nor of the form`:          {grpcmw.Except("")},
		`method "/a.B/C" is named by For and by Except`:    {grpcmw.Except("/a.B/C"), grpcmw.For("/a.B/C", grpcmw.KeyTemplate("order:{metadata.x}"))},
		"ForAll is given twice":                            {grpcmw.ForAll(grpcmw.KeyTemplate("order:{metadata.x}")), grpcmw.ForAll(grpcmw.KeyTemplate("order:{metadata.x}"))},
		`method "*" has a bad key: keys: template "x"`:     {grpcmw.ForAll(grpcmw.KeyTemplate("x"))},
		`method "*" has bad options: core: invalid option`: {grpcmw.ForAll(grpcmw.KeyTemplate("order:{metadata.x}"), grpcmw.Wait(-1))},
	} {
		_, err := grpcmw.New(locktest.New(), opts...)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestVerifyJudgesTheMethodsOfForAll(t *testing.T) {
	m := mustNew(t, locktest.New(), grpcmw.FromProtoOptions(), grpcmw.ForAll(grpcmw.KeyTemplate("order:{field.payload.nr}")), grpcmw.Except(testpb.Orders_Free_FullMethodName))
	err := m.Verify(services())
	if err == nil {
		t.Fatal("no fault")
	}
	for _, want := range []string{
		`"/grpc.testing.TestService/FullDuplexCall" is a bidi stream`,
		`"/grpc.testing.TestService/UnaryCall" has a bad key: keys: template "order:{field.payload.nr}", offset 6: message grpc.testing.Payload has no field "nr"`,
		`"/latchkey.test.v1.Orders/Free" is not registered`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %s", err, want)
		}
	}
	if strings.Contains(err.Error(), "grpc.health") {
		t.Errorf("health checks are not locked: %v", err)
	}
}

// What clients invent gives them neither series of their own nor keys, nor a call
// without a lock.
func TestMethodsThatTheServerDoesNotKnowHaveOneName(t *testing.T) {
	var mu sync.Mutex
	names, keys := map[string]int{}, map[string]int{}
	spy := spyLocker(func(key string, s core.Settings) {
		mu.Lock()
		defer mu.Unlock()
		names[s.Name]++
		keys[key]++
	})
	m := mustNew(t, spy, grpcmw.ForAll(grpcmw.KeyTemplate("tenant:{metadata.x-tenant}")),
		grpcmw.For("/shop.v1.Proxied/Known", grpcmw.KeyTemplate("tenant:{metadata.x-tenant}")))
	proxy := grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { return nil })
	conn := serveAny(t, append(m.ServerOptions(), proxy), func(*grpc.Server) {})
	ctx := metadata.AppendToOutgoingContext(timeout(t), "x-tenant", "7")
	invented := []string{"/shop.v1.Proxied/Known", "/grpc.health.v1.Health/Invented", "/grpc.admin.v1.Admin/Invented", "/a/grpc.health.v1.Health/Check", "/x//y"}
	for i := range 50 {
		invented = append(invented, fmt.Sprintf("/invented.S%d/M%d", i, i))
	}
	for _, method := range invented {
		s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
		if err != nil {
			t.Fatal(err)
		}
		_ = s.RecvMsg(&testpb.Reply{}) // denied: the spy grants nothing
	}
	mu.Lock()
	defer mu.Unlock()
	if names["unknown"] != len(invented)-1 || names["/shop.v1.Proxied/Known"] != 1 || len(names) != 2 || len(keys) > 2 {
		t.Errorf("%d calls, names %v, keys %v", len(invented), names, keys)
	}
}

func TestLockedListsWhatForAllTakesIn(t *testing.T) {
	m := mustNew(t, locktest.New(), grpcmw.ForAll(grpcmw.KeyTemplate("order:{metadata.x}")), grpcmw.Except("hand.Made"), grpcmw.For(healthpb.Health_List_FullMethodName, grpcmw.KeyTemplate("order:{metadata.x}")))
	got := m.Locked(services())
	for _, want := range []string{unary, serverStream, bidiStream, healthpb.Health_List_FullMethodName, "/grpc.testing.LoadBalancerStatsService/More"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not among %q", want, got)
		}
	}
	for _, not := range []string{healthpb.Health_Check_FullMethodName, "/hand.Made/Any"} {
		if slices.Contains(got, not) {
			t.Errorf("%s is among %q", not, got)
		}
	}
	if !slices.IsSorted(got) {
		t.Errorf("not in order: %q", got)
	}
	if got := mustNew(t, locktest.New()).Locked(services()); len(got) != 0 {
		t.Errorf("locked by nothing: %q", got)
	}
}
