package core

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

// Redis has taken the connections, and says nothing any more.
func TestAShutdownIsBoundedWhileRedisHangs(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker()
		warm(t, l)
		k := get(t, l, "k")
		hang := make(chan struct{})
		p.via(func(operation, func() error) error { <-hang; return io.EOF })
		asking := begin(t.Context(), l, "other")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		err := l.Shutdown(ctx)
		if d := time.Since(start); err == nil || d > 3*time.Second+closeGrace {
			t.Errorf("%v after %v", err, d)
		}
		if !asking.done() || !errors.Is(asking.err, ErrClosed) {
			t.Errorf("who asked: %+v", asking)
		}
		if !errors.Is(context.Cause(k.Context()), ErrClosed) {
			t.Errorf("the holder: %v", context.Cause(k.Context()))
		}
		close(hang) // the client's own timeout
		synctest.Wait()
		if left := goroutines(); len(left) > 0 {
			t.Errorf("%d goroutines are left:\n%s", len(left), strings.Join(left, "\n\n"))
		}
	})
}

// The subscription is made inside the client, whose timeouts may be longer than
// anybody's patience, or switched off. It waits there for a mutex, so that this
// cannot be in a bubble.
func TestAShutdownIsBoundedWhileTheSubscriptionHangs(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"the client's timeouts are long": time.Minute, "the client has none": -1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, server := net.Pipe() // which nobody reads
			dialled := make(chan struct{})
			dial := sync.OnceValues(func() (net.Conn, error) {
				close(dialled)
				return client, nil
			})
			rdb := redis.NewClient(&redis.Options{
				Addr: "127.0.0.1:6379", ReadTimeout: timeout, WriteTimeout: timeout,
				Dialer: func(context.Context, string, string) (net.Conn, error) { return dial() },
			})
			l, err := New(rdb)
			if err != nil {
				t.Fatal(err)
			}
			subscribe(l)
			<-dialled
			start := time.Now()
			if err := l.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if d := time.Since(start); d > 20*closeGrace {
				t.Errorf("took %v", d)
			}
			server.Close() // the stuck call ends with its connection
			rdb.Close()
		})
	}
}

func TestAnImpatientCallDoesNotWaitForAPatientOne(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		k := get(t, l, "k")
		patient := beginShutdown(t.Context(), l)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		second := beginShutdown(ctx, l)
		elapse(999 * time.Millisecond)
		if patient.over() || second.over() || k.Context().Err() != nil {
			t.Fatal("over before a context ended")
		}
		elapse(time.Millisecond)
		if !patient.over() || patient.err != nil {
			t.Errorf("the patient one: over %v, %v", patient.over(), patient.err)
		}
		if !second.over() || !errors.Is(second.err, context.DeadlineExceeded) {
			t.Errorf("the impatient one, which cut off: over %v, %v", second.over(), second.err)
		}
		if cause := context.Cause(k.Context()); !errors.Is(cause, ErrClosed) || b.lease("k") != "" {
			t.Errorf("the holder: %v, lease %q", cause, b.lease("k"))
		}
		if err := l.Close(); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// A lost lock whose holder hangs is nothing to cut off, but to wait for.
func TestAShutdownWaitsForAHolderThatHasLostItsLock(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(time.Second))
		k := get(t, l, "k")
		p.via(severed)
		elapse(2 * time.Second)
		p.via(nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s := beginShutdown(ctx, l)
		if elapse(30 * time.Second); s.over() {
			t.Error("it did not wait")
		}
		if elapse(30 * time.Second); !s.over() || s.err != nil {
			t.Errorf("over %v: %v", s.over(), s.err)
		}
		if err := k.Release(t.Context()); !errors.Is(err, ErrLost) {
			t.Errorf("Release: %v", err)
		}
	})
}
