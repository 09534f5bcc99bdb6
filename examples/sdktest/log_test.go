package sdktest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	lockotel "github.com/latchkey-go/latchkey/otel"
)

// journal is what is logged, line by line.
type journal struct{ bytes.Buffer }

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(j, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

// expect wants these records, no more and no less.
func (j *journal) expect(t *testing.T, want ...attributes) {
	t.Helper()
	var got []attributes
	for d := json.NewDecoder(bytes.NewReader(j.Bytes())); d.More(); {
		var a attributes
		if err := d.Decode(&a); err != nil {
			t.Fatal(err)
		}
		got = append(got, a)
	}
	if len(got) != len(want) {
		t.Fatalf("records %v, want %v", got, want)
	}
	for i := range want {
		if !maps.Equal(got[i], want[i]) {
			t.Errorf("record %d is %v, want %v", i, got[i], want[i])
		}
	}
}

func TestALostLockIsLoggedWithItsTrace(t *testing.T) {
	for _, c := range []struct {
		happen          func(f *locktest.Fake)
		message, reason string
	}{
		{func(f *locktest.Fake) { f.Lose(key) }, "lock lost", "lost"},
		{func(f *locktest.Fake) { f.Break(key) }, "lock broken by an operator", "broken"},
		{func(*locktest.Fake) { time.Sleep(time.Minute) }, "lock held for too long", "max_hold"},
	} {
		t.Run(c.reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var j journal
				r := newRig(t, lockotel.WithLogger(j.logger()))
				ctx, _ := r.request("request")
				r.release(r.acquire(ctx, key)) // no record
				began := time.Now()
				lock := r.acquire(ctx, key, core.MaxHold(time.Minute))
				c.happen(r.fake)
				synctest.Wait()
				took := time.Since(began)
				_ = lock.Release(context.Background())
				span := r.ended("hold " + route)[1].SpanContext()
				j.expect(t, attributes{
					"level": "WARN", "msg": c.message, "error.type": c.reason,
					"dlock.namespace": namespace, "dlock.name": route, "held": float64(took),
					"trace_id": span.TraceID().String(), "span_id": span.SpanID().String(),
				})
			})
		})
	}
}

func TestALossOfARequestThatIsNotSampledIsLoggedWithItsTraceToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRig(t, lockotel.WithLogger(j.logger()), lockotel.WithKey())
		unsampled := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
		r.acquire(trace.ContextWithSpanContext(t.Context(), unsampled), key)
		r.fake.Lose(key)
		synctest.Wait()
		j.expect(t, attributes{
			"level": "WARN", "msg": "lock lost", "error.type": "lost", "held": 0.0,
			"dlock.namespace": namespace, "dlock.name": route, "dlock.key": key,
			"trace_id": unsampled.TraceID().String(), "span_id": unsampled.SpanID().String(),
		})
	})
}

// away, while it is set, has a client's commands fail.
type away struct{ atomic.Bool }

func (a *away) DialHook(next redis.DialHook) redis.DialHook { return next }
func (a *away) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (a *away) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if a.Load() {
			return io.EOF
		}
		return next(ctx, cmd)
	}
}

func TestAnOutageAndItsEndAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRecording(t, sdktrace.AlwaysSample(), lockotel.WithLogger(j.logger()))
		var down away
		rdb := locktest.StartMini(t).Client(nil)
		rdb.AddHook(&down)
		l, err := core.New(rdb, core.SharedClient(), core.Prefix(shop), core.WithObserver(r.observer))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		r.release(r.on(l))
		down.Store(true)
		for range 2 {
			_, _ = l.Acquire(t.Context(), key)
		}
		time.Sleep(time.Minute)
		down.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		var first struct{ Error string }
		if err := json.NewDecoder(bytes.NewReader(j.Bytes())).Decode(&first); err != nil || first.Error == "" {
			t.Errorf("%v: the outage is logged without its reason: %s", err, &j)
		}
		where := attributes{"dlock.namespace": shop, "server.address": "127.0.0.1:6379"}
		j.expect(t,
			where.with(attributes{"level": "WARN", "msg": "lock backend is down", "error.type": "backend", "error": first.Error}),
			where.with(attributes{"level": "INFO", "msg": "lock backend answers again"}))
	})
}
