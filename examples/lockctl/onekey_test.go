package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/keys"
	pb "github.com/latchkey-go/latchkey/examples/internal/shoppb"
	"github.com/latchkey-go/latchkey/grpcmw"
	"github.com/latchkey-go/latchkey/httpmw"
)

// buyer is a gRPC service on orders.
type buyer struct{ pb.UnimplementedShopServer }

func (buyer) Buy(context.Context, *pb.BuyRequest) (*pb.BuyReply, error) { return &pb.BuyReply{}, nil }

// All who change order 7, by whatever transport, take the lock order:7, and an
// operator finds it by that name.
func TestWhatTheTemplateSaysIsWhatTheOperatorNames(t *testing.T) {
	d := newDesk(t)
	lock, err := httpmw.New(d.service, httpmw.Key("order:{path.id|int}"), httpmw.Wait(0))
	if err != nil {
		t.Fatal(err)
	}
	inside := make(chan struct{})
	leave := make(chan struct{})
	mux := http.NewServeMux()
	nothing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	mux.Handle("PUT /orders/{id}", lock(nothing))
	mux.Handle("DELETE /orders/{id}", lock(nothing))
	mux.Handle("POST /orders/{id}/pay", lock(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(inside)
		<-leave
	})))

	gm, err := grpcmw.New(d.another(), grpcmw.Wait(0), grpcmw.For(pb.Shop_Buy_FullMethodName, grpcmw.KeyTemplate("order:{field.item}")))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(gm.ServerOptions()...)
	pb.RegisterShopServer(server, buyer{})
	if err := gm.Verify(server.GetServiceInfo()); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }() // ends with Stop
	defer server.Stop()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	guard, err := core.NewGuard(d.another(), core.Wait(0))
	if err != nil {
		t.Fatal(err)
	}
	// free lists who gets the lock of an order.
	free := func(id string) (names []string) {
		for _, method := range []string{http.MethodPut, http.MethodDelete} {
			w := httptest.NewRecorder()
			if mux.ServeHTTP(w, httptest.NewRequest(method, "/orders/0"+id, nil)); w.Code == http.StatusOK {
				names = append(names, method)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := pb.NewShopClient(conn).Buy(ctx, &pb.BuyRequest{Item: id})
		switch status.Code(err) {
		case codes.OK:
			names = append(names, "gRPC")
		case codes.Aborted:
		default:
			t.Error(err)
		}
		if guard.Run(ctx, keys.Join("order", id), func(context.Context) error { return nil }) == nil {
			names = append(names, "job")
		}
		return names
	}

	done := make(chan struct{})
	go func() {
		defer close(done)
		mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/orders/7/pay", nil))
	}()
	<-inside
	if names := free("7"); len(names) > 0 {
		t.Errorf("beside the payment of order 7 run %q", names)
	}
	if names := free("8"); len(names) != 4 {
		t.Errorf("only %q can change order 8", names)
	}
	d.run("inspect", "order:7").want(t, 0, "order:7", "host-1")
	close(leave)
	<-done
	if out := d.run("inspect", "order:7"); strings.Contains(out.out, "host-1") {
		t.Errorf("after the payment: %+v", out)
	}
}
