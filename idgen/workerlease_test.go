package idgen

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestALeaseIsExtendedThreeTimesPerWindow(t *testing.T) {
	bubble(t, func(t *testing.T, r *bubbleRedis) {
		s := newSnowflake(t, r)
		mustID(t, s)
		before := r.count()
		for range 60 {
			time.Sleep(time.Second)
			if p := mustSplit(t, s); p.Worker != 0 {
				t.Fatalf("worker %d, want 0 throughout", p.Worker)
			}
		}
		if n := r.count() - before; n < 59 || n > 61 {
			t.Errorf("%d calls in 60 s, want one per second", n)
		}
	})
}

// The paused process finds its clock as it was and goes on with what it was about
// to do: no check of the time would have helped.
func TestWhatIsMadeAfterAPauseWasReservedBeforeIt(t *testing.T) {
	bubble(t, func(t *testing.T, r *bubbleRedis) {
		clock := newClock(time.Now())
		h := newHanging(r)
		paused := newSnowflake(t, h, WorkerBits(1), Clock(clock.now))
		seen := map[ID]bool{mustID(t, paused): true}
		clock.set(time.Now())
		h.hang() // for longer than the lease lasts
		time.Sleep(10 * time.Second)

		// Another process gets the number.
		other := newSnowflake(t, r, WorkerBits(1))
		mustID(t, other)
		for _, s := range []*Snowflake{paused, other} {
			if n, ok := s.Worker(); n != 0 || !ok {
				t.Fatalf("worker %d, %v; want both to have number 0", n, ok)
			}
		}
		for range 5000 {
			for _, s := range []*Snowflake{paused, other} {
				id := mustID(t, s)
				if seen[id] {
					t.Fatalf("%d came twice", id)
				}
				seen[id] = true
			}
		}
		before, _ := paused.Split(mustID(t, paused))
		h.goOn()
		synctest.Wait()
		clock.set(time.Now())
		after := mustSplit(t, paused)
		if after.Worker != 1 {
			t.Errorf("after the pause: worker %d, want 1", after.Worker)
		}
		if !after.Time.After(before.Time) {
			t.Errorf("%+v follows %+v", after, before)
		}
	})
}

func TestIDsAreMadeWithoutAGapAndRiseAfterRedisHasForgottenAll(t *testing.T) {
	bubble(t, func(t *testing.T, r *bubbleRedis) {
		s := newSnowflake(t, r)
		last := mustID(t, s)
		before := s.window.Load()
		for second := range 20 {
			if second%5 == 0 {
				r.m.FlushAll()
			}
			if second == 10 { // further than what it would begin with
				r.set(func() { r.ahead = -2 * DefaultWindow })
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			for range 10 {
				id, err := s.Next(ctx)
				if err != nil || id <= last {
					t.Fatalf("second %d: %d after %d, %v", second, id, last, err)
				}
				last = id
			}
			cancel()
			time.Sleep(time.Second)
		}
		// A caller who is late may still have it in hand.
		if _, n := before.take(0, 1, 1); n != 0 {
			t.Error("the first lease still gives out IDs, below those of the later ones")
		}
	})
}

func TestIDsOutlastAnOutageByTwoThirdsOfAWindowAndThenFailAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, r *bubbleRedis) {
		s := newSnowflake(t, r)
		mustID(t, s)
		time.Sleep(time.Minute)
		r.set(func() { r.down = true })
		start := time.Now()
		var err error
		var last time.Time
		for err == nil {
			last = time.Now()
			time.Sleep(10 * time.Millisecond)
			_, err = s.Next(t.Context())
		}
		if lasted := last.Sub(start); lasted < 2*DefaultWindow/3-20*time.Millisecond || lasted > DefaultWindow { // looked at every 10 ms
			t.Errorf("IDs lasted %v, want two thirds of %v to all of it", lasted, DefaultWindow)
		}
		if !errors.Is(err, ErrWindowExhausted) || !errors.Is(err, ErrBackend) || !errors.Is(err, errDown) {
			t.Errorf("got %v, want ErrWindowExhausted, ErrBackend and the cause", err)
		}
		start = time.Now()
		for range 100 {
			if _, err := s.Next(t.Context()); !errors.Is(err, ErrBackend) {
				t.Fatalf("got %v, want ErrBackend", err)
			}
		}
		// Each waited for an attempt, and these are made 10 times per third of a window.
		if took := time.Since(start); took > 100*DefaultWindow/30 {
			t.Errorf("100 refusals took %v", took)
		}
		before := r.count()
		time.Sleep(time.Minute)
		if n := r.count() - before; n > 61 {
			t.Errorf("%d attempts in a minute in which nobody asked", n)
		}
		r.set(func() { r.down = false })
		start = time.Now()
		mustID(t, s)
		if took := time.Since(start); took > DefaultWindow/30+DefaultSkew+10*time.Millisecond {
			t.Errorf("an ID came %v after Redis was back", took)
		}
	})
}

func TestWhoWaitsForANewNumberIsToldThatTheOldIsLost(t *testing.T) {
	bubble(t, func(t *testing.T, r *bubbleRedis) {
		s := newSnowflake(t, r)
		mustID(t, s)
		r.set(func() { r.down = true })
		time.Sleep(4 * DefaultWindow)
		r.set(func() { r.down = false })
		time.Sleep(DefaultWindow / 3) // the next attempt
		ctx, cancel := context.WithTimeout(t.Context(), DefaultSkew/10)
		defer cancel()
		if _, err := s.Next(ctx); !errors.Is(err, ErrLeaseLost) || !errors.Is(err, ErrWindowExhausted) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want ErrLeaseLost, ErrWindowExhausted and DeadlineExceeded", err)
		}
		mustID(t, s)

		h := newHanging(r)
		late := newSnowflake(t, h, KeyPrefix("few"), WorkerBits(1))
		mustID(t, late)
		h.hang()
		time.Sleep(4 * DefaultWindow)
		for range 2 {
			mustID(t, newSnowflake(t, r, KeyPrefix("few"), WorkerBits(1)))
		}
		h.goOn()
		var err error
		for range 5 { // attempts, the first of which was under way for too long
			if _, err = late.Next(t.Context()); errors.Is(err, ErrNoWorker) {
				break
			}
		}
		if !errors.Is(err, ErrNoWorker) || !errors.Is(err, ErrLeaseLost) {
			t.Errorf("got %v, want ErrNoWorker and ErrLeaseLost", err)
		}
	})
}

func TestACallerReturnsWhenItsContextEndsWhileRedisHangs(t *testing.T) {
	bubble(t, func(t *testing.T, r *bubbleRedis) {
		h := newHanging(r)
		h.hang()
		defer h.goOn()
		s, err := NewSnowflake(h, "orders", bubbleEpoch)
		if err != nil {
			t.Fatal(err)
		}
		cause := errors.New("the client has gone")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 200*time.Millisecond, cause)
		defer cancel()
		start := time.Now()
		_, err = s.Next(ctx)
		if took := time.Since(start); took != 200*time.Millisecond {
			t.Errorf("returned after %v, want 200ms", took)
		}
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, cause) || !errors.Is(err, ErrWindowExhausted) {
			t.Errorf("got %v", err)
		}
		start = time.Now()
		if err := s.Close(); !errors.Is(err, ErrBackend) || time.Since(start) > 2*time.Second {
			t.Errorf("Close: %v after %v", err, time.Since(start))
		}
		if _, err := s.Next(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestWithoutAFreeWorkerTheErrorTellsHowManyAreTakenAndUntilWhen(t *testing.T) {
	bubble(t, func(t *testing.T, r *bubbleRedis) {
		first := newSnowflake(t, r, WorkerBits(1))
		mustID(t, first)
		mustID(t, newSnowflake(t, r, WorkerBits(1)))
		third := newSnowflake(t, r, WorkerBits(1))
		_, err := third.Next(t.Context())
		var none *NoWorkerError
		if !errors.Is(err, ErrNoWorker) || !errors.As(err, &none) {
			t.Fatalf("got %v, want a NoWorkerError", err)
		}
		if left := time.Until(none.Until); none.Taken != 2 || none.Name != "orders" || left <= 0 || left > 3*DefaultWindow {
			t.Errorf("got %+v, want 2 taken for up to %v", none, 3*DefaultWindow)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(DefaultWindow / 3)
		if p := mustSplit(t, third); p.Worker != 0 {
			t.Errorf("worker %d after the first was given back", p.Worker)
		}
	})
}

func TestCloseGivesTheWorkerBackAndEndsWaiting(t *testing.T) {
	bubble(t, func(t *testing.T, r *bubbleRedis) {
		s := newSnowflake(t, r)
		waiting := make(chan error)
		go func() {
			_, err := s.Next(t.Context())
			waiting <- err
		}()
		synctest.Wait()
		for range 2 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-waiting; !errors.Is(err, ErrClosed) {
			t.Errorf("a waiting caller got %v, want ErrClosed", err)
		}
		if n, err := s.NextN(t.Context(), make([]ID, 3)); n != 0 || !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %d, %v", n, err)
		}
		if err := s.Check(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("Check after Close: %v", err)
		}
		if _, ok := s.Worker(); ok {
			t.Error("a closed generator has a worker")
		}
		if n, _ := newSnowflake(t, r).Worker(); n != 0 {
			t.Errorf("the number was not given back: the next is %d", n)
		}
	})
}

func TestAClockOfRedisThatWasAheadIsAnErrorUntilItsTimeHasCome(t *testing.T) {
	bubble(t, func(t *testing.T, r *bubbleRedis) {
		r.set(func() { r.ahead = 5 * time.Minute })
		s := newSnowflake(t, r, WorkerBits(12), Window(time.Second)) // a million IDs
		last := mustID(t, s)
		time.Sleep(time.Second)
		r.set(func() { r.ahead = 0 })
		// What is left of the window is good.
		ids := make([]ID, 1<<17)
		var err error
		for made := 0; err == nil; made++ {
			var n int
			n, err = s.NextN(t.Context(), ids)
			for _, id := range ids[:n] {
				if id <= last {
					t.Fatalf("%d follows %d", id, last)
				}
				last = id
			}
			if made > 12 {
				t.Fatal("more than a window's IDs were made")
			}
		}
		if !errors.Is(err, ErrClock) {
			t.Errorf("got %v, want ErrClock", err)
		}
		mustID(t, newSnowflake(t, r, WorkerBits(12), Window(time.Second))) // a new one takes another number
		time.Sleep(5 * time.Minute)
		if id := mustID(t, s); id <= last {
			t.Errorf("%d follows %d", id, last)
		}
	})
}

func TestTimesThatDoNotFitAreErrors(t *testing.T) {
	bubble(t, func(t *testing.T, r *bubbleRedis) {
		for name, c := range map[string]struct {
			epoch time.Time
			want  error
		}{
			"too early": {time.Now().Add(time.Minute), ErrClock},
			"too late":  {time.Now().Add(-1 << timeBits * time.Millisecond), ErrTimeExhausted},
		} {
			s := newSnowflake(t, r, Epoch(c.epoch), KeyPrefix(name[4:]))
			if _, err := s.Next(t.Context()); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
		}
		// The last two seconds before.
		s := newSnowflake(t, r, Skew(0), Epoch(time.Now().Add((-1<<timeBits+5000)*time.Millisecond)))
		var last ID
		var err error
		for err == nil {
			var id ID
			if id, err = s.Next(t.Context()); err == nil && id <= last {
				t.Fatalf("%d follows %d", id, last)
			}
			last = id
			time.Sleep(100 * time.Millisecond)
		}
		if !errors.Is(err, ErrTimeExhausted) {
			t.Errorf("got %v, want ErrTimeExhausted", err)
		}
	})
}

func TestAnotherLayoutUnderTheSameNameIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T, r *bubbleRedis) {
		mustID(t, newSnowflake(t, r))
		if err := newSnowflake(t, r, WorkerBits(9)).Check(t.Context()); !errors.Is(err, ErrLayoutMismatch) {
			t.Errorf("got %v, want ErrLayoutMismatch", err)
		}
	})
}
