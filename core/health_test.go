package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// outages are ways for Redis to be away.
var outages = map[string]func(operation, func() error) error{
	"refuses connections": func(operation, func() error) error { return syscall.ECONNREFUSED },
	"is silent":           func(operation, func() error) error { time.Sleep(5 * time.Second); return io.EOF },
}

// inOutage brings l to know that Redis is away.
func inOutage(t *testing.T, l *RedisLocker, p *path, outage func(operation, func() error) error) {
	t.Helper()
	p.via(outage)
	for i := range 2 {
		if _, err := l.Acquire(t.Context(), fmt.Sprint("found out ", i), TTL(MinTTL)); !errors.Is(err, ErrBackend) {
			t.Fatalf("Acquire: %v, want ErrBackend", err)
		}
	}
	elapse(time.Second)
}

// wantDown fails the test unless an acquire is refused at once and without asking
// Redis.
func wantDown(t *testing.T, l Locker, p *path, key string, opts ...AcquireOption) {
	t.Helper()
	asked, start := p.count("acquire"), time.Now()
	_, err := l.Acquire(t.Context(), key, opts...)
	var ae *AcquireError
	if !errors.Is(err, ErrBackend) || !errors.As(err, &ae) {
		t.Fatalf("Acquire: %v, want ErrBackend", err)
	}
	if down, ok := errors.AsType[*backend.DownError](ae.Cause); !ok || down.Since.IsZero() {
		t.Errorf("cause %v, want a *remote.DownError", ae.Cause)
	}
	if ae.Info.RetryAfter <= 0 || ae.Info.RetryAfter > 2*time.Second {
		t.Errorf("retry after %v", ae.Info.RetryAfter)
	}
	if time.Since(start) != 0 || p.count("acquire") != asked {
		t.Errorf("told after %v, with %d operations", time.Since(start), p.count("acquire")-asked)
	}
}

func TestAnOutageIsToldAtOnceAndIsOverSoonAfterItsEnd(t *testing.T) {
	for name, outage := range outages {
		for _, heeds := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, heeds deadlines %v", name, heeds), func(t *testing.T) {
				inBubble(t, func(t *testing.T, b *bubble) {
					l, p := b.lockerOn(redis.Options{ContextTimeoutEnabled: heeds})
					free(t, get(t, l, "k"))
					inOutage(t, l, p, outage)
					for range 100 { // 10 s
						wantDown(t, l, p, "k")
						wantDown(t, l, p, "k", Wait(0))
						elapse(100 * time.Millisecond)
					}
					// What is under way is answered, as by a server that was stopped
					// and goes on.
					if name == "is silent" {
						elapse(5 * time.Second)
					}
					back := time.Now()
					p.via(nil)
					for {
						start := time.Now()
						k, err := l.Acquire(t.Context(), "k")
						if err == nil {
							free(t, k.(*lock))
							break
						}
						if d := time.Since(start); d > 0 {
							t.Errorf("an acquire was refused after %v", d)
						}
						elapse(10 * time.Millisecond)
						if time.Since(back) > time.Minute {
							t.Fatal("never")
						}
					}
					most := maxProbe
					if name == "is silent" {
						most += 5 * time.Second // the probe that was under way
					}
					if d := time.Since(back); d > most {
						t.Errorf("recovered after %v, want %v", d, most)
					}
					probes := p.count("probe")
					elapse(time.Minute)
					if n := p.count("probe"); n != probes {
						t.Errorf("%d probes of a Redis that is back", n-probes)
					}
				})
			})
		}
	}
}

// maxProbe is the longest time between two probes.
const maxProbe = time.Second

// One failure is no outage: it may be a connection that had died unnoticed.
func TestOneFailureIsNoOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		free(t, get(t, l, "k"))
		first := true
		p.via(func(_ operation, call func() error) error {
			if first {
				first = false
				return io.EOF
			}
			return call()
		})
		if _, err := l.Acquire(t.Context(), "k"); !errors.Is(err, ErrBackend) || !errors.Is(err, io.EOF) {
			t.Fatalf("Acquire: %v, want ErrBackend", err)
		}
		free(t, get(t, l, "k"))
		if n := p.count("probe"); n != 0 {
			t.Errorf("%d probes", n)
		}
	})
}

// An error of the server is an answer.
func TestAnErrorOfTheServerIsNoOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		free(t, get(t, l, "k"))
		b.srv.SetError("LOADING Redis is loading the dataset in memory")
		for range 10 {
			_, err := l.Acquire(t.Context(), "k", TTL(MinTTL))
			if _, down := errors.AsType[*backend.DownError](err); down || !errors.Is(err, ErrBackend) {
				t.Fatalf("Acquire: %v, want ErrBackend with the server's own error", err)
			}
		}
		b.srv.SetError("")
		free(t, get(t, l, "k"))
		if n := p.count("probe"); n != 0 {
			t.Errorf("%d probes", n)
		}
	})
}

// Silence is found out by nobody's failing: a single request is under way.
func TestASilenceOfASecondIsAnOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		free(t, get(t, l, "k"))
		p.via(outages["is silent"])
		r := begin(t.Context(), l, "k")
		elapse(999 * time.Millisecond)
		if err := l.backend.Down(l.backend.Names("k")); err != nil {
			t.Errorf("after 999ms: %v", err)
		}
		elapse(2 * time.Millisecond)
		wantDown(t, l, p, "another")
		elapse(time.Second)
		if !r.done() || !errors.Is(r.err, ErrBackend) {
			t.Errorf("%+v", r)
		}
		p.via(nil)
		elapse(time.Minute)
		free(t, get(t, l, "k"))
	})
}

// Those that hang on dead connections do not keep others from asking.
func TestProbesAreFew(t *testing.T) {
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, p := b.locker()
				free(t, get(t, l, "k"))
				var mu sync.Mutex
				now, most := 0, 0
				inOutage(t, l, p, func(op operation, call func() error) error {
					if op.kind != "probe" {
						return outage(op, call)
					}
					mu.Lock()
					now++
					most = max(most, now)
					mu.Unlock()
					err := outage(op, call)
					mu.Lock()
					now--
					mu.Unlock()
					return err
				})
				elapse(5 * time.Second)
				before := p.count("probe")
				elapse(time.Minute)
				n := p.count("probe") - before
				mu.Lock()
				if most > 3 || n > 60 || n < 9 {
					t.Errorf("%d probes at once, %d in a minute", most, n)
				}
				mu.Unlock()
				if err := l.Close(); err != nil {
					t.Error(err)
				}
				before = p.count("probe")
				elapse(time.Minute)
				if n := p.count("probe") - before; n > 0 {
					t.Errorf("%d probes after Close", n)
				}
			})
		})
	}
}

// While the lease is proven, its process needs no Redis to pass it on.
func TestAHolderHandsOnAlsoInAnOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(30 * time.Second))
		v := &visits{t: t}
		k := get(t, l, "k")
		reserve(l)
		v.line(l, "x", 3, 100*time.Millisecond)
		inOutage(t, l, p, outages["refuses connections"])
		wantDown(t, l, p, "free")
		v.line(l, "x", 3, 100*time.Millisecond) // may come still
		free(t, k)
		time.Sleep(550 * time.Millisecond)
		wantDown(t, l, p, "free")
		p.via(nil)
		v.rising()
		if len(v.all) != 6 || p.count("release") != 1 {
			t.Errorf("%d holders, %d releases", len(v.all), p.count("release"))
		}
		elapse(time.Minute)
	})
}

// Whoever is in line when the lease is lost in an outage learns of it.
func TestTheLineOfALeaseThatIsLostInAnOutageIsTold(t *testing.T) {
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, p := b.locker(TTL(3 * time.Second))
				k := get(t, l, "k")
				next := begin(t.Context(), l, "k")
				synctest.Wait()
				p.via(outage)
				<-k.Context().Done()
				elapse(backendTimeout)
				if !next.done() || !errors.Is(next.err, ErrBackend) {
					t.Errorf("next: %+v, want ErrBackend", next)
				}
				p.via(nil)
				if err := k.Release(context.WithoutCancel(t.Context())); !errors.Is(err, ErrLost) {
					t.Errorf("Release: %v", err)
				}
				elapse(time.Minute)
				free(t, get(t, l, "k"))
			})
		})
	}
}

func TestOneDeadConnectionDoesNotMakeRedisDown(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		k := get(t, l, "k")
		p.via(func(op operation, call func() error) error {
			if op.kind == "release" {
				time.Sleep(12 * time.Second)
				return io.EOF
			}
			return call()
		})
		go k.Release(t.Context())
		elapse(1500 * time.Millisecond)
		start := time.Now()
		for {
			k, err := l.Acquire(t.Context(), "k2")
			if err == nil {
				p.via(nil)
				free(t, k.(*lock))
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("refused for %v although Redis answers all others", d)
		}
		elapse(time.Minute) // until the connection is given up
	})
}

func TestAProbeThatHangsDoesNotDelayTheRecovery(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		free(t, get(t, l, "k"))
		down := true
		p.via(func(op operation, call func() error) error {
			if down {
				time.Sleep(5 * time.Second)
				return io.EOF
			}
			return call()
		})
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			l.Acquire(ctx, "k")
			cancel()
		}
		elapse(7 * time.Second)
		_, err := l.Acquire(t.Context(), "k")
		if _, ok := errors.AsType[*backend.DownError](err); !ok {
			t.Fatal(err)
		}
		down = false
		start := time.Now()
		for {
			k, err := l.Acquire(t.Context(), "k2")
			if err == nil {
				p.via(nil)
				free(t, k.(*lock))
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if d := time.Since(start); d > 1100*time.Millisecond {
			t.Errorf("refused for %v although Redis is back", d)
		}
		elapse(time.Minute)
	})
}

// The first in line has had no answer: whether anybody holds the key is not known.
func TestAKeyThatRedisIsSilentAboutIsNotHeld(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		free(t, get(t, l, "k"))
		p.via(outages["is silent"])
		first := begin(t.Context(), l, "k")
		elapse(slowAnswer + time.Millisecond)
		if _, err := l.TryAcquire(t.Context(), "k"); !errors.Is(err, ErrBackend) || errors.Is(err, ErrHeld) {
			t.Errorf("%v, want ErrBackend", err)
		}
		p.via(nil)
		elapse(time.Minute)
		if !first.done() {
			t.Error("the first was not told")
		}
	})
}
