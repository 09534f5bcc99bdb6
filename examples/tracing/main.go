// Tracing shows a wait for a lock where one looks for it: in the trace of the
// request that waited, with a link to the one that was in the way.
//
//	go run ./examples/tracing
//
// Two HTTP services and a gRPC service, each with a Locker and a tracer of its own,
// want the same item at once. The traces are drawn in the terminal. With
// -otlp http://127.0.0.1:4318 they go to a collector, such as Jaeger, too; without
// -redis the example embeds a Redis.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"time"

	"github.com/latchkey-go/latchkey/examples/internal/demo"
)

const legend = `
acquire is the wait for the lock, hold the time with it. ↳ leads to who had the lock
when the wait began (holder), and directly before it ended (predecessor): the services
take turns. The other spans are otelhttp's and otelgrpc's.
`

func run(ctx context.Context, args []string, out io.Writer) error {
	f, err := parseFlags(args, out)
	if err != nil {
		return err
	}
	if err := reach(ctx, f.otlp); err != nil {
		return err
	}
	rdb, stopRedis, err := demo.StartRedis(ctx, f.redis)
	if err != nil {
		return err
	}
	defer stopRedis()
	spans := &memory{}
	if err := tell(ctx, rdb, spans, f.otlp); err != nil {
		return err
	}
	drawTraces(out, spans.all())
	fmt.Fprint(out, legend)
	if f.otlp != "" {
		fmt.Fprintf(out, "All of it has been sent to %s, too.\n", f.otlp)
	}
	return nil
}

// reach fails if nobody listens at the collector's URL: the exporter would repeat
// its attempts and, in the end, only log that they failed.
func reach(ctx context.Context, otlp string) error {
	if otlp == "" {
		return nil
	}
	u, err := url.Parse(otlp)
	if err != nil {
		return err
	}
	port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	conn, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return fmt.Errorf("no collector: %w", err)
	}
	return conn.Close()
}

func main() { demo.Main("tracing", run) }
