package sdktest

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
	lockotel "github.com/latchkey-go/latchkey/otel"
)

// whenSDKComes names the story that a process of TestTheSDKMayComeAtAnyTime tells:
// a process has one global provider.
const whenSDKComes = "LATCHKEY_TEST_SDK_COMES"

// sdk is an SDK of a test's own.
type sdk struct {
	*sdkmetric.MeterProvider
	reader *sdkmetric.ManualReader
}

func newSDK(opts ...sdkmetric.ManualReaderOption) sdk {
	reader := sdkmetric.NewManualReader(opts...)
	return sdk{sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)), reader}
}

// rig returns what reads this SDK's metrics.
func (s sdk) rig(t testing.TB) *rig { return &rig{t: t, reader: s.reader} }

// global is a Locker whose observer uses the global providers.
func global(t testing.TB) *rig {
	observer, err := lockotel.NewObserver()
	if err != nil {
		t.Fatal(err)
	}
	fake := locktest.New()
	return &rig{t: t, fake: fake, locker: named{core.Observe(fake, observer)}}
}

// expectNow wants held locks and waiters in r, or no series at all with 0.
func (r *rig) expectNow(held, waiting int64) {
	r.t.Helper()
	r.expectSum("dlock.held.count", attributes{"dlock.namespace": namespace}, held)
	r.expectSum("dlock.waiter.count", attributes{"dlock.namespace": namespace}, waiting)
}

var stories = map[string]func(t *testing.T){
	"before the observer": func(t *testing.T) {
		s := newSDK()
		otel.SetMeterProvider(s)
		r := global(t)
		lock := r.acquire(t.Context(), key)
		next := r.waiting(t.Context(), key)
		s.rig(t).expectNow(1, 1)
		r.release(lock)
		r.release(<-next)
		s.rig(t).expectNow(0, 0)
	},
	"between the observer and the first lock": func(t *testing.T) {
		r, s := global(t), newSDK()
		otel.SetMeterProvider(s)
		lock := r.acquire(t.Context(), key)
		s.rig(t).expectNow(1, 0)
		r.release(lock)
		s.rig(t).expectNow(0, 0)
	},
	"while a lock is held": func(t *testing.T) {
		r, s := global(t), newSDK()
		lock := r.acquire(t.Context(), key)
		otel.SetMeterProvider(s)
		s.rig(t).expectNow(1, 0)
		r.release(lock)
		s.rig(t).expectNow(0, 0)
	},
	"while requests wait, of whom one gives up": func(t *testing.T) {
		r, s := global(t), newSDK()
		lock := r.acquire(t.Context(), key)
		next := r.waiting(t.Context(), key)
		ctx, cancel := context.WithCancel(t.Context())
		impatient := r.waiting(ctx, key)
		otel.SetMeterProvider(s)
		s.rig(t).expectNow(1, 2)
		cancel()
		<-impatient
		s.rig(t).expectNow(1, 1)
		r.release(lock)
		lock = <-next
		s.rig(t).expectNow(1, 0)
		r.release(lock)
		s.rig(t).expectNow(0, 0)
	},
	"while a lock is held that is then lost": func(t *testing.T) {
		r, s := global(t), newSDK()
		lock := r.acquire(t.Context(), key)
		otel.SetMeterProvider(s)
		r.fake.Lose(key)
		<-lock.Context().Done()
		for value := int64(1); value == 1; { // the observer hears it a little later
			_, held := s.rig(t).sum("dlock.held.count")
			value = held.DataPoints[0].Value
		}
		_ = lock.Release(t.Context())
		s.rig(t).expectNow(0, 0)
	},
	"after the last lock": func(t *testing.T) {
		r, s := global(t), newSDK()
		r.release(r.acquire(t.Context(), key))
		otel.SetMeterProvider(s)
		s.rig(t).expectNow(0, 0)
	},
	"twice: an observer stays with the first": func(t *testing.T) {
		r, first, second := global(t), newSDK(), newSDK()
		lock := r.acquire(t.Context(), key)
		otel.SetMeterProvider(first)
		next := r.waiting(t.Context(), key)
		otel.SetMeterProvider(second)
		first.rig(t).expectNow(1, 1)
		second.rig(t).expectNow(0, 0)
		later := global(t)
		its := later.acquire(t.Context(), key)
		second.rig(t).expectNow(1, 0)
		r.release(lock)
		r.release(<-next)
		first.rig(t).expectNow(0, 0)
		second.rig(t).expectNow(1, 0)
		later.release(its)
		second.rig(t).expectNow(0, 0)
	},
	"under load": func(t *testing.T) {
		r, s := global(t), newSDK()
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range 200 {
					if g == 0 && i == 100 {
						otel.SetMeterProvider(s)
					}
					l, err := r.locker.Acquire(context.Background(), strconv.Itoa(i%3))
					if err != nil {
						t.Error(err)
						return
					}
					_ = l.Release(context.Background())
				}
			})
		}
		wg.Wait()
		s.rig(t).expectNow(0, 0)
	},
}

// The counts are the true ones whenever the SDK comes, and are never below zero.
func TestTheSDKMayComeAtAnyTime(t *testing.T) {
	if story := os.Getenv(whenSDKComes); story != "" {
		stories[story](t)
		return
	}
	for story := range stories {
		t.Run(story, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTheSDKMayComeAtAnyTime$", "-test.timeout=1m")
			cmd.Env = append(os.Environ(), whenSDKComes+"="+story)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func TestAProviderMayBeShutDownWhileALockIsHeld(t *testing.T) {
	r := newRig(t)
	s := newSDK()
	observer, err := lockotel.NewObserver(lockotel.WithMeterProvider(s))
	if err != nil {
		t.Fatal(err)
	}
	r.locker = named{core.Observe(core.Observe(r.fake, r.observer), observer)}
	lock := r.acquire(t.Context(), key)
	s.rig(t).expectNow(1, 0)
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.release(lock)
	r.release(r.acquire(t.Context(), key))
	r.expectNow(0, 0) // the other one's is as it should be
}

// Each Locker of a process may have an observer of its own.
func TestObserversOfOneProviderAddUp(t *testing.T) {
	s := newSDK()
	var locks []core.Lock
	for range 3 {
		observer, err := lockotel.NewObserver(lockotel.WithMeterProvider(s))
		if err != nil {
			t.Fatal(err)
		}
		lock, err := core.Observe(locktest.New(), observer).Acquire(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		locks = append(locks, lock)
	}
	for held := len(locks); held > 0; held-- {
		s.rig(t).expectNow(int64(held), 0)
		_ = locks[held-1].Release(t.Context())
	}
	s.rig(t).expectNow(0, 0)
}

func TestCountsOfAReaderOfDifferencesAddUp(t *testing.T) {
	s := newSDK(sdkmetric.WithTemporalitySelector(func(sdkmetric.InstrumentKind) metricdata.Temporality {
		return metricdata.DeltaTemporality
	}))
	observer, err := lockotel.NewObserver(lockotel.WithMeterProvider(s))
	if err != nil {
		t.Fatal(err)
	}
	locker := core.Observe(locktest.New(), observer)
	lock, err := locker.Acquire(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	s.rig(t).expectSum("dlock.held.count", attributes{"dlock.namespace": namespace}, 1)
	s.rig(t).expectSum("dlock.held.count", attributes{"dlock.namespace": namespace}, 0)
	_ = lock.Release(t.Context())
	s.rig(t).expectSum("dlock.held.count", attributes{"dlock.namespace": namespace}, -1)
}

// A provider outlives observers, and must not keep them.
func TestAnObserverThatIsGoneIsReadNoMore(t *testing.T) {
	s := newSDK()
	func() {
		for range 100 {
			observer, err := lockotel.NewObserver(lockotel.WithMeterProvider(s))
			if err != nil {
				t.Fatal(err)
			}
			lock, err := core.Observe(locktest.New(), observer).Acquire(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			_ = lock.Release(t.Context())
		}
	}()
	for deadline := time.Now().Add(20 * time.Second); ; {
		runtime.GC()
		if _, held := s.rig(t).sum("dlock.held.count"); len(held.DataPoints) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("observers that nobody has any more are still read")
		}
		time.Sleep(time.Millisecond)
	}
}

// As many namespaces as there are tenants make no more series than that.
func TestNamespacesBeyondTheLimitShareASeries(t *testing.T) {
	r := newRig(t)
	lock := &obtained{token: 7}
	attempt := func(i int) core.Attempt {
		return core.Attempt{Namespace: "tenant " + strconv.Itoa(i), Name: route, Key: key}
	}
	const most, tenants = 100, 2000
	var held []context.Context
	for i := range tenants {
		held = append(held, r.observer.Holding(t.Context(), attempt(i), lock))
	}
	overflow := attributes{"otel.metric.overflow": true}
	_, s := r.sum("dlock.held.count")
	if len(s.DataPoints) != most+1 {
		t.Errorf("%d series, want %d", len(s.DataPoints), most+1)
	}
	r.expectSum("dlock.held.count", overflow, tenants-most)
	for i, ctx := range held {
		r.observer.Released(ctx, attempt(i), core.HoldResult{})
	}
	for _, with := range []attributes{overflow, {"dlock.namespace": "tenant 7"}} {
		r.expectSum("dlock.held.count", with, 0)
	}
}
