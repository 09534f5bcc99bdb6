package sdktest

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	lockotel "github.com/latchkey-go/latchkey/otel"
)

// shop is the namespace of replicas.
const shop = "shop"

// replicas runs f in a bubble with n Lockers on one Redis, as processes of their
// own would have them, that share a rig's observer.
func replicas(t *testing.T, n int, f func(t *testing.T, r *rig, redis *locktest.Mini, replica []*core.RedisLocker), opts ...lockotel.Option) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecording(t, sdktrace.AlwaysSample(), opts...)
		redis := locktest.StartMini(t)
		var lockers []*core.RedisLocker
		for range n {
			l, err := core.New(redis.Client(nil), core.Prefix(shop), core.Name(route), core.WithObserver(r.observer))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			lockers = append(lockers, l)
		}
		f(t, r, redis, lockers)
	})
}

// on takes the lock in the request of a trace of its own.
func (r *rig) on(l core.Locker, opts ...core.AcquireOption) core.Lock {
	r.t.Helper()
	ctx, _ := r.request("request")
	lock, err := l.Acquire(ctx, key, opts...)
	if err != nil {
		r.t.Fatal(err)
	}
	return lock
}

// queued has another request wait for the lock, in a trace of its own, and returns
// when it is in line.
func (r *rig) queued(l core.Locker, opts ...core.AcquireOption) <-chan core.Lock {
	ctx, _ := r.request("request")
	granted := make(chan core.Lock, 1)
	go func() {
		lock, _ := l.Acquire(ctx, key, opts...)
		granted <- lock
	}()
	synctest.Wait()
	return granted
}

// Three requests, each in a replica of its own, wait in a row: the traces of those
// before them come through Redis.
func TestThreeWaitersInThreeReplicasLinkToTheRightHolders(t *testing.T) {
	replicas(t, 4, func(t *testing.T, r *rig, _ *locktest.Mini, replica []*core.RedisLocker) {
		first := r.on(replica[0])
		var waiters []<-chan core.Lock
		for _, l := range replica[1:] {
			waiters = append(waiters, r.queued(l))
		}
		r.release(first)
		for _, w := range waiters {
			r.release(<-w)
		}
		acquires := r.ended("acquire " + route)
		if len(acquires) != 4 {
			t.Fatalf("%d acquire spans, want 4", len(acquires))
		}
		expectChain(t, acquires)
		for i, span := range acquires[1:] {
			expectAttributes(t, "acquire", span.Attributes(), attributes{
				"dlock.system.name": "redis", "dlock.namespace": shop, "dlock.name": route,
				"dlock.outcome": "acquired", "dlock.contended": true, "dlock.handoff": "remote",
				"dlock.queue.position": int64(i + 1), "dlock.blocked_by.count": int64(i + 1),
				"dlock.blocked_by.trace_id": acquires[i].SpanContext().TraceID().String(), "dlock.lease.duration": 10.0,
			})
		}
		r.expectSum("dlock.handoffs", attributes{"dlock.namespace": shop, "dlock.handoff": "remote"}, 3)
		r.expectSum("dlock.handoffs", attributes{"dlock.namespace": shop, "dlock.handoff": "local"}, 0)
	})
}

// In the line behind two requests of one replica, which passes the lock on between
// them without a word to Redis.
func TestAWaiterLinksToTheLastHolderOfAnotherReplicasTenure(t *testing.T) {
	replicas(t, 2, func(t *testing.T, r *rig, _ *locktest.Mini, replica []*core.RedisLocker) {
		first, second, third := r.on(replica[0]), r.queued(replica[0]), r.queued(replica[1])
		time.Sleep(2 * time.Millisecond)
		r.release(first)
		holding := <-second
		time.Sleep(20 * time.Millisecond) // longer than the tenure
		r.release(holding)
		r.release(<-third)
		expectChain(t, r.ended("acquire "+route))
		for _, kind := range []string{"local", "remote"} {
			r.expectSum("dlock.handoffs", attributes{"dlock.namespace": shop, "dlock.handoff": kind}, 1)
		}
	})
}

// A handoff inside a replica does not rewrite Redis; the next renewal does.
func TestAnotherReplicaKnowsTheHolderAsOfTheLastRenewal(t *testing.T) {
	replicas(t, 2, func(t *testing.T, r *rig, _ *locktest.Mini, replica []*core.RedisLocker) {
		first := r.on(replica[0], core.TTL(9*time.Second))
		second := r.queued(replica[0], core.TTL(9*time.Second))
		r.release(first)
		holding := <-second
		time.Sleep(4 * time.Second) // a renewal
		ctx, _ := r.request("request")
		if l, err := replica[1].TryAcquire(ctx, key); err == nil {
			t.Fatalf("two holders: %v", l)
		}
		acquires := r.ended("acquire " + route)
		expectLinks(t, acquires[2], link{acquires[1].SpanContext(), []string{"holder"}})
		r.release(holding)
		r.expectSum("dlock.handoffs", attributes{"dlock.namespace": shop, "dlock.handoff": "local"}, 1)
	})
}

func TestCountsFollowWhatIsHeldAndWhoWaits(t *testing.T) {
	replicas(t, 2, func(t *testing.T, r *rig, _ *locktest.Mini, replica []*core.RedisLocker) {
		expect := func(held, waiting int64) {
			t.Helper()
			r.expectSum("dlock.held.count", attributes{"dlock.namespace": shop}, held)
			r.expectSum("dlock.waiter.count", attributes{"dlock.namespace": shop}, waiting)
		}
		first := r.on(replica[0])
		expect(1, 0)
		here, there := r.queued(replica[0]), r.queued(replica[1])
		expect(1, 2)
		ctx, cancel := context.WithCancel(context.Background())
		impatient := make(chan error, 1)
		go func() {
			_, err := replica[1].Acquire(ctx, key)
			impatient <- err
		}()
		late := r.queued(replica[0], core.Wait(time.Second))
		expect(1, 4)
		cancel()
		<-impatient
		expect(1, 3)
		if <-late != nil {
			t.Fatal("two holders")
		}
		expect(1, 2)
		r.release(first)
		next := <-there // the first one's tenure is over
		expect(1, 1)
		r.release(next)
		last := <-here
		expect(1, 0)
		r.release(last)
		expect(0, 0)
	})
}

func TestALockThatIsLostIsNotCountedAsHeld(t *testing.T) {
	replicas(t, 1, func(t *testing.T, r *rig, redis *locktest.Mini, replica []*core.RedisLocker) {
		lock := r.on(replica[0])
		redis.FlushAll()
		<-lock.Context().Done()
		synctest.Wait()
		r.expectSum("dlock.held.count", attributes{"dlock.namespace": shop}, 0)
		r.expectSum("dlock.renewals", attributes{"dlock.namespace": shop, "dlock.outcome": "lost"}, 1)
		_ = lock.Release(t.Context())
		r.expectSum("dlock.held.count", attributes{"dlock.namespace": shop}, 0)
	})
}

func TestRenewalsAreCountedByTheirOutcome(t *testing.T) {
	replicas(t, 1, func(t *testing.T, r *rig, redis *locktest.Mini, replica []*core.RedisLocker) {
		lock := r.on(replica[0], core.TTL(9*time.Second))
		expect := func(outcome string, want int64) {
			t.Helper()
			synctest.Wait()
			r.expectSum("dlock.renewals", attributes{"dlock.namespace": shop, "dlock.outcome": outcome}, want)
		}
		time.Sleep(6500 * time.Millisecond)
		expect("renewed", 2)
		redis.SetError("LOADING")
		time.Sleep(3 * time.Second)
		redis.SetError("")
		if _, err := replica[0].Break(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		<-lock.Context().Done()
		expect("renewed", 2)
		expect("broken", 1)
		_, s := r.sum("dlock.renewals")
		if len(s.DataPoints) != 3 { // and errors
			t.Errorf("%d series, want renewed, error and broken", len(s.DataPoints))
		}
		_ = lock.Release(t.Context())
	})
}
