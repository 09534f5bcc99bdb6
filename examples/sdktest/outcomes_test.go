package sdktest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/latchkey-go/latchkey/core"
	lockotel "github.com/latchkey-go/latchkey/otel"
)

// place is on every span.
var place = attributes{
	"dlock.system.name": "redis",
	"dlock.namespace":   namespace,
	"dlock.name":        route,
}

const ttl = 8 * time.Second

// elsewhere is the traceparent of a holder in another process.
const (
	elsewhereTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	elsewhereSpan  = "00f067aa0ba902b7"
	elsewhere      = "00-" + elsewhereTrace + "-" + elsewhereSpan + "-01"
)

func heldElsewhere(r *rig) (release func()) {
	return r.fake.Hold(key, core.WithMeta(core.Meta{TraceParent: elsewhere}))
}

// Every way an acquisition can go, with every attribute of its span.
func TestAcquireSpanAndMetricOfEachOutcome(t *testing.T) {
	contended := attributes{
		"dlock.contended":           true,
		"dlock.queue.position":      int64(1),
		"dlock.blocked_by.count":    int64(1),
		"dlock.blocked_by.trace_id": elsewhereTrace,
	}
	free := attributes{"dlock.contended": false}
	for _, c := range []struct {
		name string
		do   func(r *rig, ctx context.Context)
		// attributes besides place and the lease's duration
		want        attributes
		status      codes.Code
		description string
		links       int
		took        time.Duration
		refused     bool // before it had terms, and so a lease's duration
	}{
		{
			name: "acquired, free",
			do:   func(r *rig, ctx context.Context) { r.acquire(ctx, key) },
			want: free.with(attributes{"dlock.outcome": "acquired"}),
		},
		{
			name: "acquired, handed over from another process",
			do: func(r *rig, ctx context.Context) {
				release := heldElsewhere(r)
				granted := r.waiting(ctx, key)
				time.Sleep(3 * time.Second)
				release()
				<-granted
			},
			want: contended.with(attributes{
				"dlock.outcome": "acquired", "dlock.handoff": "remote",
			}),
			links: 1,
			took:  3 * time.Second,
		},
		{
			name: "acquired, handed over in this process by an unsampled request",
			do: func(r *rig, ctx context.Context) {
				first := r.acquire(context.Background(), key)
				granted := r.waiting(ctx, key)
				r.release(first)
				<-granted
			},
			want: attributes{
				"dlock.contended": true, "dlock.queue.position": int64(1), "dlock.blocked_by.count": int64(1),
				"dlock.outcome": "acquired", "dlock.handoff": "local",
			},
		},
		{
			name: "acquired, after the holder's lease was lost",
			do: func(r *rig, ctx context.Context) {
				heldElsewhere(r)
				granted := r.waiting(ctx, key)
				r.fake.Lose(key)
				<-granted
			},
			want:  contended.with(attributes{"dlock.outcome": "acquired"}),
			links: 1,
		},
		{
			name: "busy",
			do: func(r *rig, ctx context.Context) {
				heldElsewhere(r)
				fails(r, ctx, core.ErrHeld, core.Wait(0))
			},
			want:  contended.with(attributes{"dlock.outcome": "busy", "error.type": "held"}),
			links: 1,
		},
		{
			name: "timeout",
			do: func(r *rig, ctx context.Context) {
				heldElsewhere(r)
				fails(r, ctx, core.ErrWaitTimeout, core.Wait(5*time.Second))
			},
			want:   contended.with(attributes{"dlock.outcome": "timeout", "error.type": "timeout"}),
			status: codes.Error, description: "the lock was not granted within the longest wait",
			links: 1,
			took:  5 * time.Second,
		},
		{
			name: "queue full",
			do: func(r *rig, ctx context.Context) {
				heldElsewhere(r)
				fails(r, ctx, core.ErrQueueFull, core.MaxWaiters(0))
			},
			want:   contended.with(attributes{"dlock.outcome": "queue_full", "error.type": "queue_full"}),
			status: codes.Error, description: "too many waiters for the lock",
			links: 1,
		},
		{
			name: "canceled while waiting",
			do: func(r *rig, ctx context.Context) {
				heldElsewhere(r)
				ctx, cancel := context.WithCancelCause(ctx)
				granted := r.waiting(ctx, key)
				cancel(core.ErrHeld) // a cause is not the outcome
				<-granted
			},
			want:  contended.with(attributes{"dlock.outcome": "canceled", "error.type": "canceled"}),
			links: 1,
		},
		{
			name: "deadline of the request",
			do: func(r *rig, ctx context.Context) {
				heldElsewhere(r)
				ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
				defer cancel()
				fails(r, ctx, context.DeadlineExceeded)
			},
			want:  contended.with(attributes{"dlock.outcome": "canceled", "error.type": "deadline"}),
			links: 1,
			took:  2 * time.Second,
		},
		{
			name: "backend down",
			do: func(r *rig, ctx context.Context) {
				r.fake.FailBackend(errors.New("dial tcp 10.0.0.7:6379: connection refused"))
				fails(r, ctx, core.ErrBackend)
			},
			want:   free.with(attributes{"dlock.outcome": "error", "error.type": "backend"}),
			status: codes.Error, description: "the lock could not be acquired",
		},
		{
			name: "backend too slow",
			do: func(r *rig, ctx context.Context) {
				r.fake.FailBackend(context.DeadlineExceeded)
				fails(r, ctx, core.ErrBackend)
			},
			want:   free.with(attributes{"dlock.outcome": "error", "error.type": "backend"}),
			status: codes.Error, description: "the lock could not be acquired",
		},
		{
			name: "a key that the call chain holds already",
			do: func(r *rig, ctx context.Context) {
				l := r.acquire(context.Background(), key)
				fails(r, trace.ContextWithSpan(l.Context(), trace.SpanFromContext(ctx)), core.ErrSelfDeadlock)
			},
			want:   free.with(attributes{"dlock.outcome": "error", "error.type": "self_deadlock"}),
			status: codes.Error, description: "the lock could not be acquired",
		},
		{
			name: "a key that is too long",
			do: func(r *rig, ctx context.Context) {
				if _, err := r.locker.Acquire(ctx, strings.Repeat("k", core.MaxKeyLen+1)); !errors.Is(err, core.ErrKey) {
					r.t.Fatalf("Acquire: %v, want core.ErrKey", err)
				}
			},
			refused: true,
			want:    free.with(attributes{"dlock.outcome": "error", "error.type": "key"}),
			status:  codes.Error, description: "the lock could not be acquired",
		},
		{
			name: "shutting down",
			do: func(r *rig, ctx context.Context) {
				_ = r.fake.Close()
				fails(r, ctx, core.ErrClosed)
			},
			want:   free.with(attributes{"dlock.outcome": "error", "error.type": "closed"}),
			status: codes.Error, description: "the lock could not be acquired",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				ctx, request := r.request("request")
				r.locker = named{withTTL{r.locker}}
				c.do(r, ctx)

				span := r.only("acquire " + route)
				want := place.with(c.want)
				if !c.refused {
					want = want.with(attributes{"dlock.lease.duration": ttl.Seconds()})
				}
				expectAttributes(t, "acquire", span.Attributes(), want)
				expectShape(t, span, request)
				if s := span.Status(); s.Code != c.status || s.Description != c.description {
					t.Errorf("status = %v %q, want %v %q", s.Code, s.Description, c.status, c.description)
				}
				if n := len(span.Links()); n != c.links {
					t.Errorf("%d links, want %d", n, c.links)
				}
				if d := span.EndTime().Sub(span.StartTime()); d != c.took {
					t.Errorf("the span took %v, want %v", d, c.took)
				}

				// The point of the metric that this outcome made.
				want = attributes{"dlock.namespace": namespace, "dlock.name": route}
				for _, k := range []string{"dlock.outcome", "dlock.contended", "error.type"} {
					if v, ok := c.want[k]; ok {
						want[k] = v
					}
				}
				_, points := r.histogram("dlock.acquire.duration")
				point := pointWith(t, points, want)
				if point.Count != 1 || point.Sum != c.took.Seconds() {
					t.Errorf("count %d, sum %v s, want 1 and %v", point.Count, point.Sum, c.took.Seconds())
				}
			})
		})
	}
}

// Every way a hold can end, with every attribute of its span.
func TestHoldSpanAndMetricOfEachOutcome(t *testing.T) {
	for _, c := range []struct {
		name        string
		do          func(r *rig, l core.Lock)
		want        attributes
		status      codes.Code
		description string
	}{
		{
			name: "released",
			do:   func(r *rig, l core.Lock) { r.release(l) },
			want: attributes{"dlock.outcome": "released"},
		},
		{
			name:   "lost",
			do:     func(r *rig, _ core.Lock) { r.fake.Lose(key) },
			want:   attributes{"dlock.outcome": "lost", "error.type": "lost"},
			status: codes.Error, description: "the lock was lost before it was released",
		},
		{
			name:   "broken by an operator",
			do:     func(r *rig, _ core.Lock) { r.fake.Break(key) },
			want:   attributes{"dlock.outcome": "lost", "error.type": "broken"},
			status: codes.Error, description: "the lock was lost before it was released",
		},
		{
			name:   "held for too long",
			do:     func(*rig, core.Lock) { time.Sleep(time.Minute) },
			want:   attributes{"dlock.outcome": "lost", "error.type": "max_hold"},
			status: codes.Error, description: "the lock was lost before it was released",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const held = 90 * time.Second
				r := newRig(t)
				ctx, request := r.request("request")
				l := r.acquire(ctx, key, core.TTL(ttl), core.MaxHold(held+time.Minute))
				started := time.Now()
				time.Sleep(held)
				if n := len(r.ended("hold " + route)); n != 0 {
					t.Fatal("the hold span ended while the lock was held")
				}
				c.do(r, l)
				synctest.Wait() // a loss is told by a goroutine
				took := time.Since(started)
				_ = l.Release(context.Background()) // a holder that was told to stop releases, too

				span := r.only("hold " + route)
				expectAttributes(t, "hold", span.Attributes(),
					place.with(c.want).with(attributes{"dlock.lease.duration": ttl.Seconds()}))
				expectShape(t, span, request)
				if s := span.Status(); s.Code != c.status || s.Description != c.description {
					t.Errorf("status = %v %q, want %v %q", s.Code, s.Description, c.status, c.description)
				}
				if d := span.EndTime().Sub(span.StartTime()); d != took {
					t.Errorf("the span took %v, want %v", d, took)
				}

				_, points := r.histogram("dlock.hold.duration")
				point := pointWith(t, points, attributes{
					"dlock.namespace": namespace, "dlock.name": route, "dlock.outcome": c.want["dlock.outcome"],
				})
				if point.Count != 1 || point.Sum != took.Seconds() {
					t.Errorf("count %d, sum %v s, want 1 and %v", point.Count, point.Sum, took.Seconds())
				}
			})
		})
	}
}

// withTTL asks for leases that are not the default's length.
type withTTL struct{ core.Locker }

func (w withTTL) Acquire(ctx context.Context, key string, opts ...core.AcquireOption) (core.Lock, error) {
	return w.Locker.Acquire(ctx, key, append([]core.AcquireOption{core.TTL(ttl)}, opts...)...)
}

// fails makes an acquisition that must fail with want.
func fails(r *rig, ctx context.Context, want error, opts ...core.AcquireOption) {
	r.t.Helper()
	if _, err := r.locker.Acquire(ctx, key, opts...); !errors.Is(err, want) {
		r.t.Fatalf("Acquire: %v, want %v", err, want)
	}
}

// expectShape checks what holds for all of our spans.
func expectShape(t testing.TB, span sdktrace.ReadOnlySpan, parent trace.Span) {
	t.Helper()
	if span.SpanKind() != trace.SpanKindInternal {
		t.Errorf("%s: kind %v, want internal", span.Name(), span.SpanKind())
	}
	if got, want := span.Parent().SpanID(), parent.SpanContext().SpanID(); got != want {
		t.Errorf("%s: parent %v, want the request's span %v", span.Name(), got, want)
	}
	if n := len(span.Events()); n != 0 {
		t.Errorf("%s: %d events, want none", span.Name(), n)
	}
	scope := span.InstrumentationScope()
	if scope.Name != lockotel.ScopeName || scope.Version != lockotel.Version {
		t.Errorf("%s: scope %s %s, want %s %s", span.Name(), scope.Name, scope.Version, lockotel.ScopeName, lockotel.Version)
	}
	if strings.Contains(span.Name(), key) || strings.Contains(span.Status().Description, key) {
		t.Errorf("%s: the key is in the span's name or status", span.Name())
	}
	for _, kv := range span.Attributes() {
		if strings.Contains(kv.Value.String(), key) {
			t.Errorf("%s: the key is in %s", span.Name(), kv.Key)
		}
	}
}
