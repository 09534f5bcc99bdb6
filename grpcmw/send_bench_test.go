package grpcmw_test

import (
	"testing"

	"google.golang.org/grpc"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
)

// BenchmarkSendMsg is what a message of a locked stream costs over one that is not
// locked, which is measured beside it: without a transport, and over TCP.
func BenchmarkSendMsg(b *testing.B) {
	key := grpcmw.KeyOf(streamOrderOf)
	for _, name := range []string{"unlocked", "locked"} {
		m := mustNew(b, locktest.New())
		if name == "locked" {
			m = mustNew(b, locktest.New(), grpcmw.For(serverStream, key))
		}
		b.Run("no transport/"+name, func(b *testing.B) {
			b.ReportAllocs()
			err := m.Stream()(nil, &fakeStream{ctx: b.Context()}, serverInfo, func(_ any, s grpc.ServerStream) error {
				if err := receive(s); err != nil {
					return err
				}
				message := &testpb.StreamingOutputCallResponse{}
				for b.Loop() {
					if err := s.SendMsg(message); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		})
		b.Run("TCP/"+name, func(b *testing.B) {
			h := &handlers{server: func(_ *testpb.StreamingOutputCallRequest, s testpb.TestService_StreamingOutputCallServer) error {
				message := &testpb.StreamingOutputCallResponse{Payload: &testpb.Payload{Body: make([]byte, 100)}}
				for s.Context().Err() == nil {
					if err := s.Send(message); err != nil {
						return err
					}
				}
				return nil
			}}
			stream, err := serve(b, m, h).StreamingOutputCall(b.Context(), streamOrder("7"))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := stream.Recv(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
