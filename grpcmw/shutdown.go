package grpcmw

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"
)

// Shutdown ends a server and its Locker (a [core.RedisLocker]) so that no call is
// lost: those that run may finish, and those in line are denied with
// LOCK_SHUTTING_DOWN, which a [Client] with [RetryHeld] sends again, to another
// replica.
//
// Both end at once. The server's GracefulStop tells the clients to make their next
// calls elsewhere; after it alone, those in line would be waited for. The Locker's
// Shutdown sends those in line away; after it alone, clients would stay with this
// server, which refuses them, for as long as a holder needs to finish.
//
// When ctx ends first, the locks of those who still hold one are taken from them,
// the server is stopped, which breaks its connections, and the error matches ctx's
// cause. Afterwards nothing is left of the server and the Locker, except for
// handlers that do not heed the end of their context. Give ctx less time than the
// process has, and more than a call takes.
func Shutdown(ctx context.Context, srv *grpc.Server, locker interface{ Shutdown(context.Context) error }) error {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		srv.GracefulStop()
	}()
	err := locker.Shutdown(ctx)
	select {
	case <-stopped:
		return err
	case <-ctx.Done():
	}
	srv.Stop()
	return errors.Join(err, fmt.Errorf("grpcmw: the server was stopped before its calls had ended: %w", context.Cause(ctx)))
}
