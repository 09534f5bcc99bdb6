package core

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// operatorCalls are all that can fail with an *OperatorError.
var operatorCalls = map[string]func(ctx context.Context, l *RedisLocker, key string) error{
	"Inspect": func(ctx context.Context, l *RedisLocker, key string) error {
		_, err := l.Inspect(ctx, key)
		return err
	},
	"Break": func(ctx context.Context, l *RedisLocker, key string) error {
		_, err := l.Break(ctx, key)
		return err
	},
	"BreakNow": func(ctx context.Context, l *RedisLocker, key string) error {
		_, err := l.BreakNow(ctx, key)
		return err
	},
	"Leases": func(ctx context.Context, l *RedisLocker, _ string) error {
		for _, err := range l.Leases(ctx) {
			if err != nil {
				return err
			}
		}
		return nil
	},
}

func TestWhatAnOperatorIsTold(t *testing.T) {
	gone := errors.New("gone")
	for name, c := range map[string]struct {
		calls   string // those that fail so
		key     string
		prepare func(t *testing.T, b *bubble, l *RedisLocker, p *path, ctx context.Context) context.Context
		want    error
		cause   error
		after   time.Duration
	}{
		"no key":     {calls: "Inspect Break BreakNow", want: ErrKey},
		"a long key": {calls: "Inspect Break BreakNow", key: strings.Repeat("k", MaxKeyLen+1), want: ErrKey},
		"a free key": {calls: "Break BreakNow", key: "free", want: ErrNotHeld},
		"no lease": {
			calls: "Break BreakNow", key: "k", want: ErrNotLease,
			prepare: func(_ *testing.T, b *bubble, _ *RedisLocker, _ *path, ctx context.Context) context.Context {
				b.plant("k", "something else")
				return ctx
			},
		},
		"the context has ended": {
			calls: "Inspect Break BreakNow Leases", key: "k", want: context.Canceled, cause: gone,
			prepare: func(_ *testing.T, _ *bubble, _ *RedisLocker, _ *path, ctx context.Context) context.Context {
				ctx, cancel := context.WithCancelCause(ctx)
				cancel(gone)
				return ctx
			},
		},
		"the context ends while Redis hangs": {
			calls: "Inspect Break BreakNow Leases", key: "k", want: context.Canceled, cause: gone, after: time.Second,
			prepare: func(_ *testing.T, _ *bubble, _ *RedisLocker, p *path, ctx context.Context) context.Context {
				p.hang()
				ctx, cancel := context.WithCancelCause(ctx)
				time.AfterFunc(time.Second, func() { cancel(gone) })
				return ctx
			},
		},
		"Redis hangs": {
			calls: "Inspect Break BreakNow Leases", key: "k", want: ErrBackend, cause: errNoAnswer, after: backendTimeout,
			prepare: func(_ *testing.T, _ *bubble, _ *RedisLocker, p *path, ctx context.Context) context.Context {
				p.hang()
				return ctx
			},
		},
		"Redis fails": {
			calls: "Inspect Break BreakNow Leases", key: "k", want: ErrBackend, cause: io.EOF,
			prepare: func(_ *testing.T, _ *bubble, _ *RedisLocker, p *path, ctx context.Context) context.Context {
				p.via(func(operation, func() error) error { return io.EOF })
				return ctx
			},
		},
		"Redis counts as down": {
			calls: "Inspect Break BreakNow Leases", key: "k", want: ErrBackend,
			prepare: func(t *testing.T, _ *bubble, l *RedisLocker, p *path, ctx context.Context) context.Context {
				p.via(func(operation, func() error) error { return io.EOF })
				for range 2 {
					_, _ = l.TryAcquire(t.Context(), "another")
				}
				p.hang() // and nobody is asked
				return ctx
			},
		},
		"closed": {
			calls: "Inspect Break BreakNow Leases", key: "k", want: ErrClosed,
			prepare: func(_ *testing.T, _ *bubble, l *RedisLocker, _ *path, ctx context.Context) context.Context {
				l.Close()
				return ctx
			},
		},
		"a list in the lease's place": {
			calls: "Inspect Break BreakNow", key: "k", want: ErrBackend,
			prepare: func(_ *testing.T, b *bubble, _ *RedisLocker, _ *path, ctx context.Context) context.Context {
				name := "latchkey:{" + tagOf(b, "k") + "}:l:k"
				b.srv.Del(name)
				_, _ = b.srv.Push(name, "x")
				return ctx
			},
		},
	} {
		for call := range strings.FieldsSeq(c.calls) {
			t.Run(name+" "+call, func(t *testing.T) {
				inBubble(t, func(t *testing.T, b *bubble) {
					b.plant("k", foreign())
					l, p := b.locker()
					ctx := t.Context()
					if c.prepare != nil {
						ctx = c.prepare(t, b, l, p, ctx)
					}
					start := time.Now()
					err := operatorCalls[call](ctx, l, c.key)
					if took := time.Since(start); took != c.after {
						t.Errorf("took %v, want %v", took, c.after)
					}
					if !errors.Is(err, c.want) || c.cause != nil && !errors.Is(err, c.cause) {
						t.Fatalf("%v, want %v and %v", err, c.want, c.cause)
					}
					oe, ok := errors.AsType[*OperatorError](err)
					if !ok || oe.Err != c.want || call != "Leases" && oe.Key != c.key || ErrorType(err) != ErrorType(c.want) {
						t.Errorf("%#v, type %s", err, ErrorType(err))
					}
					p.via(nil)
					elapse(time.Minute) // what hangs ends
					if (oe.Lease != nil) != (c.want == ErrNotLease) {
						t.Errorf("lease %+v", oe.Lease)
					}
				})
			})
		}
	}
}

// hang has nothing answered from now on, until the test is over.
func (p *path) hang() {
	p.via(func(op operation, call func() error) error {
		time.Sleep(time.Minute)
		return io.EOF
	})
}

func TestOnlyTheLeaseThatWasSeenIsBroken(t *testing.T) {
	for name, call := range map[string]func(*RedisLocker, context.Context, string, ...BreakOption) (*LeaseInfo, error){
		"Break": (*RedisLocker).Break, "BreakNow": (*RedisLocker).BreakNow,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, p := b.locker()
				operator, way := b.locker()
				first := get(t, l, "k")
				seen, err := operator.Inspect(t.Context(), "k")
				if err != nil {
					t.Fatal(err)
				}
				free(t, first)
				if _, err := call(operator, t.Context(), "k", OnlyLease(seen.Lease.ID)); !errors.Is(err, ErrNotHeld) {
					t.Errorf("free: %v, want ErrNotHeld", err)
				}
				second := get(t, l, "k", WithMeta(Meta{RequestID: "second"}))
				check := func(err error) {
					t.Helper()
					oe, ok := errors.AsType[*OperatorError](err)
					if !ok || oe.Err != ErrLeaseChanged || oe.Lease == nil || oe.Lease.Holder.RequestID != "second" {
						t.Errorf("changed: %#v, want ErrLeaseChanged and what is there now", err)
					}
				}
				_, err = call(operator, t.Context(), "k", OnlyLease(seen.Lease.ID))
				check(err)
				if _, err := call(operator, t.Context(), "k", OnlyLease("")); !errors.Is(err, ErrOption) {
					t.Errorf("no ID: %v, want ErrOption", err)
				}
				// Changed between the look and the break.
				free(t, second)
				third := get(t, l, "k")
				way.via(func(op operation, call func() error) error {
					if op.kind == "break_lease" {
						free(t, third)
						second = get(t, l, "k", WithMeta(Meta{RequestID: "second"}))
					}
					return call()
				})
				_, err = call(operator, t.Context(), "k")
				check(err)
				way.via(func(op operation, call func() error) error {
					if op.kind == "break_lease" {
						free(t, second)
					}
					return call()
				})
				if _, err = call(operator, t.Context(), "k", nil); !errors.Is(err, ErrNotHeld) {
					t.Errorf("released meanwhile: %v, want ErrNotHeld", err)
				}
				elapse(time.Minute)
				if p.count("renew") != 0 {
					t.Errorf("%d renewals: somebody was told", p.count("renew"))
				}
			})
		})
	}
}

func TestAnOperatorLearnsWhoHoldsAndWhoWaits(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker(TTL(9 * time.Second))
		other, _ := b.locker(TTL(6*time.Second), of("billing"))
		operator, p := b.locker()
		free(t, get(t, other, "warm"))

		i, err := operator.Inspect(t.Context(), "k")
		if err != nil || i.Lease != nil || i.Key != "k" || i.Waiting != 0 || i.Queue == nil || !i.At.Equal(time.Now()) {
			t.Fatalf("free: %+v, %v", i, err)
		}
		k := get(t, l, "k", WithMeta(Meta{RequestID: "r1"}))
		elapse(time.Second)
		first := begin(t.Context(), other, "k", WithMeta(Meta{RequestID: "r2"}))
		synctest.Wait()
		second := begin(t.Context(), other, "k") // one process, one place
		elapse(time.Second)
		before := b.lease("k")
		i, err = operator.Inspect(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		lease := i.Lease
		if lease.Key != "k" || lease.ID == "" || lease.Process != string(l.process) || lease.TTL != 7*time.Second || lease.Broken || lease.Waiting != 1 {
			t.Errorf("lease %+v", lease)
		}
		if h := lease.Holder; h == nil || h.RequestID != "r1" || h.PID == 0 || !h.Since.Equal(time.Now().Add(-2*time.Second)) {
			t.Errorf("holder %+v", h)
		}
		if i.LastToken != k.Token() || i.Waiting != 1 || len(i.Queue) != 1 {
			t.Fatalf("%+v", i)
		}
		w := i.Queue[0]
		if w.Process != string(other.process) || w.Holder.RequestID != "r2" || w.Holder.Service != "billing" || w.TTL != 6*time.Second ||
			!w.Since.Equal(time.Now().Add(-time.Second)) {
			t.Errorf("in line: %+v", w)
		}
		if b.lease("k") != before || p.count("inspect") != 2 {
			t.Errorf("lease %q, was %q", b.lease("k"), before)
		}
		breakIt(t, operator, "k")
		if i, err = operator.Inspect(t.Context(), "k"); err != nil || !i.Lease.Broken || i.Lease.ID != lease.ID {
			t.Errorf("%+v, %v", i, err)
		}
		free(t, k)
		synctest.Wait()
		free(t, first.lock)
		synctest.Wait()
		free(t, second.lock)
	})
}

// of is the metadata of a service.
func of(service string) Setting { return WithMeta(Meta{Service: service}) }

func TestALongLineIsCountedAndItsHeadListed(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		tagOf(b, "k")
		l, _ := b.locker()
		k := get(t, l, "k")
		queue := "latchkey:{" + tagOf(b, "k") + "}:q:k"
		for i := range MaxInspected + 20 {
			e := backend.MakeEntry(backend.MakeID(backend.NewProcess(), uint64(i)), time.Minute, 1, "")
			if _, err := b.srv.ZAdd(queue, float64(i+1), string(e)); err != nil {
				t.Fatal(err)
			}
		}
		i, err := l.Inspect(t.Context(), "k")
		if err != nil || i.Waiting != MaxInspected+20 || len(i.Queue) != MaxInspected || i.Lease.Waiting != MaxInspected+20 {
			t.Errorf("%d of %d, %v", len(i.Queue), i.Waiting, err)
		}
		for n, w := range i.Queue {
			if !w.Since.Equal(time.UnixMicro(int64(n + 1))) {
				t.Fatalf("place %d: %v", n, w.Since)
			}
		}
		free(t, k)
	})
}

// How a broken hold ends, for observers and for guards.
func TestABrokenHoldIsToldAsSuch(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		told := make(chan HoldResult, 10)
		l, _ := b.locker(WithObserver(&heldObserver{told: told}))
		operator, _ := b.locker()
		warm(t, l)
		err := l.Do(t.Context(), "k", func(ctx context.Context) error {
			breakIt(t, operator, "k")
			<-ctx.Done()
			if r := <-told; r.Err != ErrBroken {
				t.Errorf("told %+v, want ErrBroken", r)
			}
			return io.EOF
		})
		d, ok := errors.AsType[*Denial](err)
		if !ok || d.Reason != ReasonLost || !errors.Is(err, ErrBroken) || errors.Is(err, ErrLost) || !errors.Is(err, io.EOF) {
			t.Errorf("%v", err)
		}
		synctest.Wait()
		if len(told) != 0 || b.lease("k") != "" {
			t.Errorf("told %d times more; lease %q", len(told), b.lease("k"))
		}
	})
}

type heldObserver struct {
	NopObserver
	told chan HoldResult
}

func (o *heldObserver) Released(_ context.Context, _ Attempt, r HoldResult) { o.told <- r }
