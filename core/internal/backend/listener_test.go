package backend_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/locktest"
)

func TestListenerIsUpOnceItsSubscriptionIsConfirmed(t *testing.T) {
	onBoth(t, func(s *stage) {
		p := newProcess(s)
		e := open(s, s.be, p.name)
		receive(s, e.ups)
		if n := ok(s.rdb.PubSubNumSub(s.Context(), p.channel()).Result())(s)[p.channel()]; n != 1 {
			s.Errorf("%d subscribers, want 1", n)
		}
		if len(e.ups) != 0 || len(e.downs) != 0 {
			s.Errorf("then %d ups and %d downs", len(e.ups), len(e.downs))
		}
	})
}

func TestListenerSubscribesAgainWhenItsConnectionIsKilled(t *testing.T) {
	s := onRedis(t)
	p := newProcess(s)
	e := listen(s, p.name)
	owner := p.entry("")
	s.must(backend.Granted, s.acquire(owner))
	for range 3 {
		if n := ok(s.rdb.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Result())(s); n != 1 {
			t.Fatalf("%d subscriptions killed, want 1", n)
		}
		if err := receive(t, e.downs); err == nil {
			t.Error("down without a reason")
		}
		receive(t, e.ups)
		s.must(backend.Waiting, s.acquire(newProcess(s).entry("")))
		receive(t, e.notes)
	}
	if len(e.ups) != 0 || len(e.downs) != 0 {
		t.Errorf("then %d ups and %d downs", len(e.ups), len(e.downs))
	}
}

func TestListenerComesBackWithTheServer(t *testing.T) {
	s := onRedis(t)
	e := listen(s, newProcess(s).name)
	s.real.Kill()
	receive(t, e.downs)
	receive(t, e.downs) // it goes on trying
	s.real.Restart()
	receive(t, e.ups)
}

// A listener without its right is told why, again and again: an operator may
// give it.
func TestListenerTellsThatItMayNotSubscribe(t *testing.T) {
	s := onRedis(t)
	if err := s.rdb.Do(t.Context(), "ACL", "SETUSER", "poor", "on", "nopass", "~*", "+@all", "resetchannels").Err(); err != nil {
		t.Fatal(err)
	}
	be := backend.New(s.real.Client(&redis.Options{Username: "poor", Password: "any"}), prefix)
	defer closeBackend(t, be)
	e := open(t, be, backend.NewProcess())
	receive(t, e.downs)
	if err := receive(t, e.downs); !redis.IsPermissionError(err) {
		t.Errorf("down: %v, want the server's word", err)
	}
	if len(e.ups) != 0 {
		t.Error("up")
	}
	if err := s.rdb.Do(t.Context(), "ACL", "SETUSER", "poor", "allchannels").Err(); err != nil {
		t.Fatal(err)
	}
	receive(t, e.ups)
}

func TestListenerClosesWhileRedisHangs(t *testing.T) {
	for name, subscribed := range map[string]bool{"subscribed": true, "in the middle of connecting": false} {
		t.Run(name, func(t *testing.T) {
			s := onRedis(t)
			reads := make(chan struct{}, 1000)
			be := backend.New(s.real.Client(&redis.Options{
				ReadTimeout: 2 * patience, Dialer: dialReader(reads),
			}), prefix)
			defer closeBackend(t, be)
			var e *subscription
			if subscribed {
				e = open(t, be, backend.NewProcess())
				receive(t, e.ups)
				s.real.Stop()
			} else {
				s.real.Stop()
				e = open(t, be, backend.NewProcess())
				receive(t, reads)
			}
			closed := make(chan struct{})
			go func() {
				e.Close()
				close(closed)
			}()
			receive(t, closed)
			s.real.Continue()
		})
	}
}

func TestSilentConnectionIsGivenUp(t *testing.T) {
	// Looked at every 2 s, and given up when it has been silent through two: the
	// worst case is one that falls silent just after an answer.
	const atLeast, atMost = 2 * time.Second, 6 * time.Second
	for _, after := range []time.Duration{0, 1, 1999, 2001, 3999, 4001, 5999, 3_600_000} {
		synctest.Test(t, func(t *testing.T) {
			mini := locktest.StartMini(t)
			hole := &blackhole{}
			rdb := redis.NewClient(&redis.Options{
				Addr: "127.0.0.1:6379", MaintNotificationsConfig: mini.Client(nil).Options().MaintNotificationsConfig,
				Dialer: func(context.Context, string, string) (net.Conn, error) {
					c, err := mini.Dial()
					return &wire{Conn: c, dead: hole}, err
				},
			})
			defer rdb.Close()
			be := backend.New(rdb, prefix)
			defer closeBackend(t, be)
			e := open(t, be, backend.NewProcess())
			<-e.ups
			time.Sleep(after * time.Millisecond)
			synctest.Wait()
			if len(e.downs) != 0 {
				t.Fatalf("down after %v: %v", after*time.Millisecond, <-e.downs)
			}
			hole.set(true)
			start := time.Now()
			err := <-e.downs
			if took := time.Since(start); took < atLeast || took > atMost {
				t.Errorf("silent since %v: noticed after %v (%v), want %v to %v", after*time.Millisecond, took, err, atLeast, atMost)
			}
			hole.set(false)
			<-e.ups
			e.Close()
		})
	}
}

// Nobody publishes for hours: that is no fault.
func TestIdleSubscriptionIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mini := locktest.StartMini(t)
		be := backend.New(mini.Client(nil), prefix)
		e := open(t, be, backend.NewProcess())
		<-e.ups
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if len(e.ups) != 0 || len(e.downs) != 0 {
			t.Errorf("%d ups and %d downs", len(e.ups), len(e.downs))
		}
		e.Close()
		closeBackend(t, be)
	})
}

// A bubble does not end before all its goroutines have: with a real server the
// subscription's end shows.
func TestClosedListenerLeavesNothing(t *testing.T) {
	t.Run("goroutine", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			mini := locktest.StartMini(t)
			be := backend.New(mini.Client(nil), prefix)
			for range 3 {
				e := open(t, be, backend.NewProcess())
				e.Close() // at once, whatever it is about
				e = open(t, be, backend.NewProcess())
				<-e.ups
				e.Close()
				e.Close()
				if len(e.downs) != 0 {
					t.Errorf("down: %v", <-e.downs)
				}
			}
			closeBackend(t, be)
		})
	})
	t.Run("subscription", func(t *testing.T) {
		onBoth(t, func(s *stage) {
			p := newProcess(s)
			e := listen(s, p.name)
			e.Close()
			deadline := time.Now().Add(patience)
			for ok(s.rdb.PubSubNumSub(s.Context(), p.channel()).Result())(s)[p.channel()] != 0 {
				if time.Now().After(deadline) {
					s.Fatal("it is still subscribed")
				}
			}
		})
	})
}
