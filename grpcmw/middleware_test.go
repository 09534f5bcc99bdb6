package grpcmw_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/keys"
	"github.com/latchkey-go/latchkey/core/locktest"
	"github.com/latchkey-go/latchkey/grpcmw"
)

func TestNewListsEverythingThatIsWrong(t *testing.T) {
	key := grpcmw.KeyTemplate("order:{metadata.x-order}")
	m, err := grpcmw.New(locktest.New(),
		nil,
		grpcmw.Wait(-1), grpcmw.OnDeny(nil), grpcmw.OnMissing(nil),
		grpcmw.For("", key),
		grpcmw.For("no.Slash/Method", key),
		grpcmw.For("/a.B/", key),
		grpcmw.For("/a.B/C/D", key),
		grpcmw.For("/a.B/NoKey", nil),
		grpcmw.For("/a.B/NilFunc", grpcmw.KeyFunc(nil)),
		grpcmw.For("/a.B/NilOf", grpcmw.KeyOf[*testpb.Empty](nil)),
		grpcmw.For("/a.B/Broken", grpcmw.KeyTemplate("order:{metadata.x")),
		grpcmw.For("/a.B/Source", grpcmw.KeyTemplate("k:{header.x}:{metadata.x y}:{metadata.Grpc-Timeout}")),
		grpcmw.For("/a.B/Constant", grpcmw.KeyTemplate("constant")),
		grpcmw.For("/a.B/Nameless", grpcmw.KeyTemplate("order:{metadata.}")),
		grpcmw.For("/a.B/Range", key, nil, grpcmw.TTL(time.Hour*100), grpcmw.MaxWaiters(-1), grpcmw.MaxHold(-1),
			grpcmw.OnBackendError(9), grpcmw.OnMissing(grpcmw.Fallback("")), grpcmw.OnLossAfterSend(9), grpcmw.OnDeny(nil), grpcmw.Name("")),
		grpcmw.For("/a.B/Unnamed", grpcmw.KeyTemplate("{metadata.x-order}")),
		grpcmw.For("/a.B/Twice", key), grpcmw.For("/a.B/Twice", key),
	)
	if m != nil || !errors.Is(err, core.ErrOption) {
		t.Fatalf("New = %v, %v", m, err)
	}
	if se, ok := errors.AsType[*keys.SyntaxError](err); !ok || se.Offset == 0 {
		t.Errorf("no *keys.SyntaxError: %v", se)
	}
	const golden = `core: invalid option: grpcmw: OnDeny's hook is nil
core: invalid option: grpcmw: the MissingPolicy is nil
core: invalid option: Wait -1ns is not between 0 and 24h0m0s
core: invalid option: grpcmw: method "" is not of the form /package.Service/Method
core: invalid option: grpcmw: method "no.Slash/Method" is not of the form /package.Service/Method
core: invalid option: grpcmw: method "/a.B/" is not of the form /package.Service/Method
core: invalid option: grpcmw: method "/a.B/C/D" is not of the form /package.Service/Method
core: invalid option: grpcmw: method "/a.B/NoKey" has no key
core: invalid option: grpcmw: method "/a.B/NilFunc" has a bad key: the function is nil
core: invalid option: grpcmw: method "/a.B/NilOf" has a bad key: the function is nil
core: invalid option: grpcmw: method "/a.B/Broken" has a bad key: SYNTAX
core: invalid option: grpcmw: method "/a.B/Source" has a bad key: SYNTAX
core: invalid option: grpcmw: method "/a.B/Constant" has a bad key: SYNTAX
core: invalid option: grpcmw: method "/a.B/Nameless" has a bad key: SYNTAX
core: invalid option: grpcmw: method "/a.B/Range" has bad options: RANGE
core: invalid option: grpcmw: method "/a.B/Unnamed" has a bad key: SYNTAX
core: invalid option: grpcmw: method "/a.B/Twice" is named twice`
	got := strings.Split(err.Error(), "\n")
	i := 0
	for _, want := range strings.Split(golden, "\n") {
		prefix, kind, multi := cutAny(want, "SYNTAX", "RANGE")
		n := 1
		switch {
		case kind == "RANGE":
			n = 8
		case strings.Contains(want, "Source"):
			n = 3
		}
		if i+n > len(got) || !strings.HasPrefix(got[i], prefix) || (!multi && got[i] != want) {
			t.Fatalf("line %d: want %q\nin\n%v", i+1, want, err)
		}
		i += n
	}
	if i != len(got) {
		t.Errorf("%d lines, want %d:\n%v", len(got), i, err)
	}
	for _, want := range []string{
		`unknown source "header": there are field, metadata, peer and context`, `metadata name "x y" holds ' '`, `metadata name "grpc-timeout" is reserved by gRPC`,
		"no placeholder: all calls would share one lock", "TTL 100h0m0s", "MaxWaiters -1", "MaxHold -1ns",
		"BackendErrorPolicy 9", "Fallback is empty", "LossPolicy 9", "Name is empty",
	} {
		if strings.Count(err.Error(), want) != 1 {
			t.Errorf("%q is there %d times", want, strings.Count(err.Error(), want))
		}
	}
}

// cutAny cuts s at the first of the marks that it holds.
func cutAny(s string, marks ...string) (before, mark string, found bool) {
	for _, m := range marks {
		if before, _, ok := strings.Cut(s, m); ok {
			return before, m, true
		}
	}
	return s, "", false
}

func TestNewRefusesANilLocker(t *testing.T) {
	for _, l := range []core.Locker{nil, (*core.RedisLocker)(nil), (*locktest.Fake)(nil), spyLocker(nil)} {
		_, err := grpcmw.New(l, grpcmw.For(unary, grpcmw.KeyTemplate("order:{metadata.x}")))
		if !errors.Is(err, core.ErrOption) || strings.Count(err.Error(), "\n") != 0 {
			t.Errorf("got %v", err)
		}
	}
}

func TestANilMiddlewarePanicsAtTheWiring(t *testing.T) {
	var m *grpcmw.Middleware // New has failed, and nobody looked
	for name, wire := range map[string]func(){
		"Unary": func() { m.Unary() }, "Stream": func() { m.Stream() }, "ServerOptions": func() { m.ServerOptions() },
	} {
		func() {
			defer func() {
				if text, _ := recover().(string); !strings.Contains(text, "nil *Middleware") {
					t.Errorf("%s: %q", name, text)
				}
			}()
			wire()
		}()
	}
}

// settingsOf returns the terms that a call asks a Locker for.
func settingsOf(t *testing.T, opts ...grpcmw.Option) (s core.Settings, key string) {
	t.Helper()
	spy := spyLocker(func(k string, got core.Settings) { s, key = got, k })
	m := mustNew(t, spy, opts...)
	_, err := m.Unary()(t.Context(), order("7"), &grpc.UnaryServerInfo{FullMethod: unary}, nil)
	if err == nil {
		t.Error("no denial")
	}
	return s, key
}

type spyLocker func(key string, s core.Settings)

func (f spyLocker) Acquire(_ context.Context, key string, opts ...core.AcquireOption) (core.Lock, error) {
	s, err := core.Settings{TTL: core.DefaultSettings().TTL}.With(opts...)
	if err == nil {
		err = core.ErrHeld
	}
	f(key, s)
	return nil, &core.AcquireError{Key: key, Err: err}
}

func TestSettingsAreTheTransportsThenTheMiddlewaresThenTheMethods(t *testing.T) {
	key := grpcmw.KeyOf(orderOf)
	same := func(s core.Settings) core.Settings { s.Meta = core.Meta{}; return s }
	s, k := settingsOf(t, grpcmw.For(unary, key))
	if want := (core.Settings{TTL: 10 * time.Second, Wait: 5 * time.Second, MaxWaiters: 100, MaxHold: 5 * time.Minute, Name: unary}); same(s) != want || s.Meta.RequestID == "" {
		t.Errorf("defaults %+v, want %+v", s, want)
	}
	if k != unaryKey {
		t.Errorf("key %q", k)
	}
	// The method's come last, wherever it stands.
	s, k = settingsOf(t, grpcmw.For(unary, key, grpcmw.Wait(time.Second), grpcmw.Name("orders")),
		grpcmw.Wait(2*time.Second), grpcmw.MaxWaiters(3), grpcmw.MaxHold(0), grpcmw.TTL(time.Minute))
	if want := (core.Settings{TTL: time.Minute, Wait: time.Second, MaxWaiters: 3, Name: "orders"}); same(s) != want {
		t.Errorf("got %+v, want %+v", s, want)
	}
	if k != unaryKey {
		t.Errorf("key %q", k)
	}
}

func TestTheKeyIsWhatTheTemplateOrTheFunctionSays(t *testing.T) {
	template := grpcmw.KeyTemplate("order:{metadata.X-Tenant}:{metadata.x-order}")
	raw := grpcmw.KeyFunc(func(_ context.Context, r any) (string, error) {
		return orderOf(r.(*testpb.SimpleRequest)), nil
	})
	for _, c := range []struct {
		name string
		key  grpcmw.Key
		opts []grpcmw.MethodOption
		want string
	}{
		{"template", template, nil, keys.Join("order", "a:b", "c")},
		{"template with a name", template, []grpcmw.MethodOption{grpcmw.Name("pay")}, keys.Join("order", "a:b", "c")},
		{"scoped template", template, []grpcmw.MethodOption{grpcmw.Scoped()}, unary + "%:order:a%3Ab:c"},
		{"template in the scope of a name", template, []grpcmw.MethodOption{grpcmw.Scoped(), grpcmw.Name("pay")}, "pay%:order:a%3Ab:c"},
		{"function", raw, nil, keys.Join("order", "7")},
		{"scoped function", raw, []grpcmw.MethodOption{grpcmw.Scoped()}, unary + "%:order:7"},
		{"function of an interface", grpcmw.KeyOf(func(r interface{ GetPayload() *testpb.Payload }) string { return string(r.GetPayload().GetBody()) }), nil, "7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got string
			m := mustNew(t, spyLocker(func(key string, _ core.Settings) { got = key }), grpcmw.For(unary, c.key, c.opts...))
			ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("x-tenant", "a:b", "x-order", "c"))
			_, _ = m.Unary()(ctx, order("7"), &grpc.UnaryServerInfo{FullMethod: unary}, nil)
			if got != c.want {
				t.Errorf("key %q, want %q", got, c.want)
			}
		})
	}
}

func TestAKeyFunctionThatTheCallerGivesUpOnIsACancellation(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	m := mustNew(t, locktest.New(), grpcmw.For(unary, grpcmw.KeyFunc(func(ctx context.Context, _ any) (string, error) {
		cancel()
		return "", errors.New("look-up failed")
	})))
	_, err := m.Unary()(ctx, order("7"), &grpc.UnaryServerInfo{FullMethod: unary}, nil)
	wantAnswer(t, err, nil, codes.Canceled, core.ReasonCanceled, "")
}

func TestByDefaultACallWaitsForFiveSecondsAndHoldsForFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := locktest.New()
		m := mustNew(t, fake, grpcmw.For(unary, grpcmw.KeyOf(orderOf)))
		call := m.Unary()
		start := time.Now()
		release := fake.Hold(unaryKey)
		_, err := call(t.Context(), order("7"), &grpc.UnaryServerInfo{FullMethod: unary}, nil)
		if a := answerOf(t, err, nil); a.reason != core.ReasonWaitTimeout || time.Since(start) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		release()
		start = time.Now()
		_, err = call(t.Context(), order("7"), &grpc.UnaryServerInfo{FullMethod: unary}, func(ctx context.Context, _ any) (any, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		})
		if a := answerOf(t, err, nil); a.reason != core.ReasonLost || time.Since(start) != 5*time.Minute || !errors.Is(err, core.ErrMaxHold) {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// slowLocker's releases are answered late.
type slowLocker struct{ core.Locker }

func (l slowLocker) Acquire(ctx context.Context, key string, opts ...core.AcquireOption) (core.Lock, error) {
	lock, err := l.Locker.Acquire(ctx, key, opts...)
	return slowLock{lock}, err
}

type slowLock struct{ core.Lock }

func (l slowLock) Release(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(100 * time.Millisecond):
		return l.Lock.Release(ctx)
	}
}

func TestAnAnswerWaitsForTheReleaseOnlyWithoutWaitingOrWhenToldTo(t *testing.T) {
	for _, c := range []struct {
		name string
		opts []grpcmw.MethodOption
		want time.Duration
	}{
		{"by default", nil, 0},
		{"Wait(0)", []grpcmw.MethodOption{grpcmw.Wait(0)}, 100 * time.Millisecond},
		{"AwaitRelease(true)", []grpcmw.MethodOption{grpcmw.AwaitRelease(true)}, 100 * time.Millisecond},
		{"AwaitRelease(false)", []grpcmw.MethodOption{grpcmw.Wait(0), grpcmw.AwaitRelease(false)}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := mustNew(t, slowLocker{locktest.New()}, grpcmw.For(unary, grpcmw.KeyOf(orderOf), c.opts...))
				start := time.Now()
				if _, err := m.Unary()(t.Context(), order("7"), &grpc.UnaryServerInfo{FullMethod: unary},
					func(context.Context, any) (any, error) { return nil, nil }); err != nil {
					t.Error(err)
				}
				if took := time.Since(start); took != c.want {
					t.Errorf("took %v, want %v", took, c.want)
				}
			})
		})
	}
}
