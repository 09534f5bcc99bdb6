package backend_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

func TestTwoFailuresInARowAreAnOutageWhoseCauseIsTheLast(t *testing.T) {
	inlineOnlyBackend(t, func(t *testing.T, be *backend.Backend, w *way) {
		failing := func(err error) {
			w.via(func(_ context.Context, _ int, call func() error) error {
				if err == nil {
					return call()
				}
				return err
			})
		}
		first, second := errors.New("first"), errors.New("second")
		for range 3 { // failures with an answer between them are none
			failing(first)
			<-ask(be, 1)
			if err := be.Down(be.Names("k")); err != nil {
				t.Fatalf("after one failure: %v", err)
			}
			failing(nil)
			<-ask(be, 1)
		}
		failing(first)
		<-ask(be, 1)
		failing(second)
		<-ask(be, 1)
		down, ok := errors.AsType[*backend.DownError](be.Down(be.Names("k")))
		if !ok || !errors.Is(down, second) || !down.Since.Equal(time.Now()) {
			t.Fatalf("%v", be.Down(be.Names("k")))
		}
		synctest.Wait()
		failing(nil)
		time.Sleep(100 * time.Millisecond) // the first probe
		synctest.Wait()
		if err := be.Down(be.Names("k")); err != nil {
			t.Errorf("after an answered probe: %v", err)
		}
		calls := w.calls()
		time.Sleep(time.Hour)
		if n := w.calls() - calls; n != 0 {
			t.Errorf("%d more probes", n)
		}
	})
}

func TestProbesAreFartherAndFartherApart(t *testing.T) {
	inlineOnlyBackend(t, func(t *testing.T, be *backend.Backend, w *way) {
		at := make(chan time.Duration, 100)
		w.via(func(context.Context, int, func() error) error { return io.EOF })
		<-ask(be, 1)
		<-ask(be, 1)
		down := time.Now()
		w.via(func(context.Context, int, func() error) error {
			at <- time.Since(down)
			return io.EOF
		})
		time.Sleep(5 * time.Second)
		for _, want := range []time.Duration{100, 300, 700, 1500, 2500, 3500, 4500} {
			if got := <-at; got != want*time.Millisecond {
				t.Errorf("a probe after %v, want %d ms", got, want)
			}
		}
		if len(at) > 0 {
			t.Errorf("another after %v", <-at)
		}
		w.via(nil)
	})
}

// Whatever is sent tells, not only a probe.
func TestAnAnswerToAnybodyEndsAnOutage(t *testing.T) {
	inlineOnlyBackend(t, func(t *testing.T, be *backend.Backend, w *way) {
		w.via(func(context.Context, int, func() error) error { return io.EOF })
		<-ask(be, 1)
		<-ask(be, 1)
		if be.Down(be.Names("k")) == nil {
			t.Fatal("not down")
		}
		w.via(nil)
		if a := <-ask(be, 1); a.Err != nil || be.Down(be.Names("k")) != nil {
			t.Errorf("%+v, %v", a, be.Down(be.Names("k")))
		}
	})
}

func TestSilenceIsAnOutageAfterASecondAndEndsWithTheFirstAnswer(t *testing.T) {
	inlineOnlyBackend(t, func(t *testing.T, be *backend.Backend, w *way) {
		w.via(func(_ context.Context, _ int, call func() error) error { time.Sleep(3 * time.Second); return call() })
		begun := time.Now()
		answer := ask(be, 1)
		time.Sleep(time.Second)
		if err := be.Down(be.Names("k")); err != nil {
			t.Errorf("after a second: %v", err)
		}
		time.Sleep(time.Millisecond)
		down, ok := errors.AsType[*backend.DownError](be.Down(be.Names("k")))
		if !ok || down.Cause != nil || !down.Since.Equal(begun) || down.Error() == "" {
			t.Errorf("after more than a second: %v", be.Down(be.Names("k")))
		}
		<-answer
		if err := be.Down(be.Names("k")); err != nil {
			t.Errorf("after the answer: %v", err)
		}
	})
}

// While others are answered, one that is not is no outage.
func TestASlowFlightBesideAnsweredOnesIsNoOutage(t *testing.T) {
	inlineOnlyBackend(t, func(t *testing.T, be *backend.Backend, w *way) {
		w.via(func(_ context.Context, n int, call func() error) error {
			if n == 1 {
				time.Sleep(10 * time.Second)
			}
			return call()
		})
		stuck := ask(be, 1)
		for range 5 {
			time.Sleep(900 * time.Millisecond)
			<-ask(be, 1)
			if err := be.Down(be.Names("k")); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(2 * time.Second)
		if err := be.Down(be.Names("k")); err != nil {
			t.Errorf("those who were answered since: %v", err)
		}
		<-stuck
	})
}
