package grpcmw_test

import (
	"context"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/grpcmw"
	"github.com/latchkey-go/latchkey/internal/denial"
)

// denying is a Locker that denies with a reason.
type denying core.Reason

func (d denying) Acquire(context.Context, string, ...core.AcquireOption) (core.Lock, error) {
	return nil, &core.Denial{Reason: core.Reason(d)}
}

// Each row of the table that both transports have, as an answer and as a client
// takes it. Package httpmw has the same test.
func TestTheTableOfDenialsIsWhatServersAnswerAndClientsGoBy(t *testing.T) {
	for reason, code := range map[core.Reason]codes.Code{
		core.ReasonHeld: codes.Aborted, core.ReasonWaitTimeout: codes.Aborted, core.ReasonQueueFull: codes.ResourceExhausted,
		core.ReasonDeadline: codes.DeadlineExceeded, core.ReasonCanceled: codes.Canceled,
		core.ReasonKeyMissing: codes.InvalidArgument, core.ReasonKeyInvalid: codes.InvalidArgument,
		core.ReasonBackend: codes.Unavailable, core.ReasonShuttingDown: codes.Unavailable,
		core.ReasonSelfDeadlock: codes.Internal, core.ReasonLost: codes.Internal, core.ReasonStale: codes.Aborted,
		core.ReasonInternal: codes.Internal, "LOCK_OF_TOMORROW": codes.Internal,
		denial.BodyTooLarge: codes.InvalidArgument, denial.BodyUnsupported: codes.InvalidArgument, // as from an HTTP server behind this one
	} {
		t.Run(string(reason), func(t *testing.T) {
			row := denial.Of(reason)
			m := mustNew(t, denying(reason), grpcmw.For(unary, grpcmw.KeyOf(orderOf)))
			client := serve(t, m, &handlers{unary: ok})
			var trailer metadata.MD
			_, err := client.UnaryCall(timeout(t), order("7"), grpc.Trailer(&trailer))
			a := answerOf(t, err, trailer)
			want := row.Detail
			if reason == core.ReasonSelfDeadlock {
				want += " Its key: function of *grpc_testing.SimpleRequest"
			}
			if a.code != code || codes.Code(row.Code) != code || a.reason != reason || status.Convert(err).Message() != want {
				t.Errorf("answered %v %s %q", a.code, a.reason, status.Convert(err).Message())
			}
			if a.info != row.Repeatable() || len(trailer["latchkey-denied"]) == 1 != row.Repeatable() {
				t.Errorf("RetryInfo %v, trailer %v", a.info, trailer)
			}
			synctest.Test(t, func(t *testing.T) {
				attempts := 0
				_ = mustClient(t, grpcmw.RetryHeld(1)).Unary()(t.Context(), unary, nil, nil, nil,
					func(_ context.Context, _ string, _, _ any, _ *grpc.ClientConn, opts ...grpc.CallOption) error {
						attempts++
						for _, o := range opts {
							if o, ok := o.(grpc.TrailerCallOption); ok {
								*o.TrailerAddr = trailer
							}
						}
						return err
					})
				if again := attempts == 2; again != row.Repeatable() {
					t.Errorf("sent %d times", attempts)
				}
			})
		})
	}
}
