package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	pb "github.com/latchkey-go/latchkey/examples/internal/shoppb"
)

// console is what run prints to. It tells where the server listens, and when a
// purchase begins.
type console struct {
	addr  chan string
	begun chan struct{}
}

var address = regexp.MustCompile(`127\.0\.0\.1:\d+ latchkey\.examples\.shop\.v1\.Shop/Buy`)

func (c *console) Write(b []byte) (int, error) {
	if line := address.Find(b); line != nil {
		addr, _, _ := strings.Cut(string(line), " ")
		c.addr <- addr
	}
	if bytes.Contains(b, []byte("begins")) {
		c.begun <- struct{}{}
	}
	return len(b), nil
}

type server struct {
	*console
	conn      *grpc.ClientConn
	interrupt context.CancelFunc
	ended     <-chan error
}

func start(t *testing.T) *server {
	t.Helper()
	ctx, interrupt := context.WithCancel(context.Background())
	t.Cleanup(interrupt)
	c := &console{addr: make(chan string, 1), begun: make(chan struct{}, 8)}
	end := make(chan error, 1)
	go func() { end <- run(ctx, []string{"-addr", "127.0.0.1:0"}, c) }()
	select {
	case addr := <-c.addr:
		conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return &server{c, conn, interrupt, end}
	case err := <-end:
		t.Fatalf("it ended: %v", err)
		return nil
	}
}

func (s *server) end(t *testing.T) {
	t.Helper()
	s.interrupt()
	if err := <-s.ended; err != nil {
		t.Errorf("interrupted: %v", err)
	}
}

func umbrella(buyer string) *pb.BuyRequest {
	return &pb.BuyRequest{Item: "umbrella", Buyer: buyer, Quantity: 1}
}

func TestTwoPurchasesOfOneItemRunOneAfterTheOther(t *testing.T) {
	s := start(t)
	shop := pb.NewShopClient(s.conn)
	var mu sync.Mutex
	sold := map[int64]*pb.BuyReply{}
	var buyers sync.WaitGroup
	began := time.Now()
	for _, buyer := range []string{"ada", "bob"} {
		buyers.Go(func() {
			reply, err := shop.Buy(t.Context(), umbrella(buyer))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			sold[reply.GetOrderId()] = reply
		})
	}
	buyers.Wait()
	if took := time.Since(began); took < 4*time.Second {
		t.Errorf("two purchases of two seconds each took %v", took)
	}
	first, second := sold[1], sold[2]
	if first.GetFencingToken() == 0 || second.GetFencingToken() <= first.GetFencingToken() {
		t.Errorf("the fencing tokens do not rise: %v", sold)
	}
	if first.GetRequestId() == "" || second.GetRequestId() == "" || second.GetRequestId() == first.GetRequestId() {
		t.Errorf("not a request ID each: %v", sold)
	}
	s.end(t)
}

func TestAnInterruptLetsAPurchaseFinishAndSendsTheNextAway(t *testing.T) {
	s := start(t)
	shop := pb.NewShopClient(s.conn)
	ends := make(chan error, 2)
	buy := func() { _, err := shop.Buy(t.Context(), umbrella("ada")); ends <- err }
	go buy()
	<-s.begun
	go buy() // waits in line, or comes when the doors are closed
	s.interrupt()
	served := 0
	for range 2 {
		switch err := <-ends; status.Code(err) {
		case codes.OK:
			served++
		case codes.Unavailable:
		default:
			t.Errorf("sent away with %v", err)
		}
	}
	if served != 1 {
		t.Errorf("%d purchases, want 1", served)
	}
	if err := <-s.ended; err != nil {
		t.Errorf("interrupted: %v", err)
	}
}

func TestAPurchaseOfNothingIsAnInvalidArgument(t *testing.T) {
	s := start(t)
	if _, err := pb.NewShopClient(s.conn).Buy(t.Context(), &pb.BuyRequest{Quantity: 1}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("without an item: %v", err)
	}
	s.end(t)
}

// What the grpcurl line needs.
func TestReflectionNamesTheShop(t *testing.T) {
	s := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	info, err := reflectionpb.NewServerReflectionClient(s.conn).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := info.Send(&reflectionpb.ServerReflectionRequest{
		MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "latchkey.examples.shop.v1.Shop"},
	}); err != nil {
		t.Fatal(err)
	}
	if reply, err := info.Recv(); err != nil || len(reply.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
		t.Errorf("got %v, %v", reply, err)
	}
	if err := info.CloseSend(); err != nil {
		t.Error(err)
	}
	cancel()
	s.end(t)
}

// TestMain lets a test run the program itself, in a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("EXAMPLE_MAIN") == "1" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestWhatCannotBeStartedSaysSoInOneLineAndExitsWithTwo(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	for name, args := range map[string][]string{
		"an unknown flag":    {"-port", "1"},
		"a port in use":      {"-addr", taken.Addr().String()},
		"no Redis":           {"-redis", gone.Addr().String()},
		"a Redis that hangs": {"-redis", taken.Addr().String()},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0], args...)
			cmd.Env = append(os.Environ(), "EXAMPLE_MAIN=1")
			var stdout, stderr strings.Builder
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			said := stderr.String()
			if cmd.ProcessState.ExitCode() != 2 || stdout.Len() > 0 ||
				strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, "grpcserver: ") {
				t.Errorf("%v, standard output %q, standard error %q", err, &stdout, said)
			}
		})
	}
}
