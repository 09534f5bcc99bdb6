package grpcmw_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
)

func (s *stress) run(seed uint64) {
	var clients sync.WaitGroup
	var sent atomic.Int64
	for i := range stressClients {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			client := testpb.NewTestServiceClient(s.clients[i%stressConns])
			for sent.Add(1) <= int64(*stressRequests) {
				s.call(random, client)
			}
		})
	}
	clients.Wait()
}

// stressCalls open a call of each kind and take its answer.
var stressCalls = []struct {
	name string
	do   func(context.Context, testpb.TestServiceClient, string) error
}{
	{"unary", func(ctx context.Context, c testpb.TestServiceClient, id string) error {
		_, err := c.UnaryCall(ctx, order(id), grpc.WaitForReady(true))
		return err
	}},
	{"server stream", func(ctx context.Context, c testpb.TestServiceClient, id string) error {
		ss, err := c.StreamingOutputCall(ctx, streamOrder(id), grpc.WaitForReady(true))
		if err != nil {
			return err
		}
		_, _, err = drain(ss, ss.Recv)
		return err
	}},
	{"client stream", func(ctx context.Context, c testpb.TestServiceClient, _ string) error {
		ss, err := c.StreamingInputCall(ctx, grpc.WaitForReady(true))
		if err != nil {
			return err
		}
		if err := ss.Send(&testpb.StreamingInputCallRequest{}); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		return ss.RecvMsg(&testpb.StreamingInputCallResponse{})
	}},
	{"bidi stream", func(ctx context.Context, c testpb.TestServiceClient, _ string) error {
		ss, err := c.FullDuplexCall(ctx, grpc.WaitForReady(true))
		if err != nil {
			return err
		}
		_, _, err = drain(ss, ss.Recv)
		return err
	}},
}

// call is one client, with one of the ends that its call may take.
func (s *stress) call(random *rand.Rand, client testpb.TestServiceClient) {
	kind := stressCalls[random.IntN(len(stressCalls))]
	id := strconv.Itoa(random.IntN(stressKeys))
	pause := time.Duration(random.Int64N(int64(20 * time.Millisecond)))
	// Bounded, so that what should end by itself and does not is a failure.
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	do, may := "", map[codes.Code]string{}
	switch random.IntN(10) {
	case 0:
		time.AfterFunc(pause, cancel)
		may[codes.Canceled] = "cancelled by the client"
	case 1:
		var end context.CancelFunc
		ctx, end = context.WithTimeout(ctx, pause)
		defer end()
		may[codes.DeadlineExceeded] = "the client's deadline"
	case 2:
		do = "panic"
		may[codes.DataLoss] = "panic"
	case 3:
		do = []string{"overstay", "send and overstay", "receive"}[random.IntN(3)]
	case 4:
		if random.IntN(20) == 0 {
			s.breakSocket()
		}
	}
	if random.IntN(stressStop) == 0 {
		s.restart()
	}
	ctx = metadata.AppendToOutgoingContext(ctx, "x-order", id, "x-do", do)
	s.judge(kind.name+" "+do, kind.do(ctx, client, id), may)
}

// stressAnswers are the rows of the table that may come, and whether they say when
// to try again. A Redis that lives is "unavailable" to a call whose wait was over
// before it got any answer, as on a machine with too much to do.
var stressAnswers = map[string]bool{
	"Aborted LOCK_HELD": true, "Aborted LOCK_WAIT_TIMEOUT": true, "ResourceExhausted LOCK_QUEUE_FULL": true,
	"Unavailable LOCK_BACKEND_UNAVAILABLE": true, "DeadlineExceeded LOCK_DEADLINE_EXCEEDED": false,
	"Canceled LOCK_CANCELED": false, "Internal LOCK_LOST": false,
}

// judge tells whether an answer is one that may come. Without a reason it is the
// handler's own, or gRPC's: then only of a call that the client ends, or whose
// server has stopped or its connection broken.
func (s *stress) judge(call string, err error, may map[codes.Code]string) {
	a := answerOf(s.t, err, nil)
	if a.reason != "" {
		answer := fmt.Sprint(a.code, " ", a.reason)
		if retry, known := stressAnswers[answer]; !known || a.info != retry {
			s.t.Errorf("%s: not in the table: %v", call, err)
		}
		s.seen.Count(answer)
		return
	}
	switch what, explained := may[a.code]; {
	case a.code == codes.OK:
		s.seen.Count("OK")
	case explained:
		s.seen.Count(what)
	case (a.code == codes.Unavailable || a.code == codes.Canceled) && s.stops.Load()+s.breaks.Load() > 0:
		s.seen.Count("server or connection gone")
	default:
		s.t.Errorf("%s: %v", call, err)
	}
}

// report tells what was seen.
func (s *stress) report() {
	s.t.Logf("%d handlers ran, %d servers stopped, %d connections broken", s.ran.Load(), s.stops.Load(), s.breaks.Load())
	s.seen.Report(s.t,
		"OK", "Aborted LOCK_HELD", "Aborted LOCK_WAIT_TIMEOUT", "ResourceExhausted LOCK_QUEUE_FULL", "Internal LOCK_LOST",
		"cancelled by the client", "the client's deadline", "panic", "server or connection gone")
	if s.stops.Load() == 0 || s.breaks.Load() == 0 {
		s.t.Error("no server was stopped, or no connection broken")
	}
}
